module tkc-registry/lab/tools/wcp

go 1.19
