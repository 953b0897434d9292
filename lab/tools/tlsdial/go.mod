module tkc-registry/lab/tools/tlsdial

go 1.24
