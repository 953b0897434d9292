package main

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

const maxBody = 64 << 10

type loginRequest struct {
	Cluster   string `json:"guest_cluster_name"`
	Namespace string `json:"guest_cluster_namespace"`
}

type loginResponse struct {
	SessionID string `json:"session_id"`
	Server    string `json:"guest_cluster_server,omitempty"`
	CA        string `json:"guest_cluster_ca,omitempty"`
}

// newHandler serves the login, the issuer's documents, the landing page by which scripts tell that the Supervisor is
// up, and nothing else.
func newHandler(config *Config, issuer *Issuer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html>\n<title>Kubernetes CLI Tools</title>\n")
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, issuer.discovery())
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, issuer.keys()) })
	mux.HandleFunc("/wcp/login", func(w http.ResponseWriter, r *http.Request) { login(config, issuer, w, r) })
	return mux
}

func login(config *Config, issuer *Issuer, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	user, password, _ := r.BasicAuth()
	expected, known := config.Users[user]
	if subtle.ConstantTimeCompare([]byte(password), []byte(expected)) != 1 || !known {
		w.Header().Set("WWW-Authenticate", `Basic realm="vSphere"`)
		refuse(w, http.StatusUnauthorized, "invalid credentials")
		return
	}
	var request loginRequest
	err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&request)
	if err != nil && err != io.EOF {
		refuse(w, http.StatusBadRequest, "the request's body is not JSON")
		return
	}
	audience, response := config.Audience, loginResponse{}
	if request.Cluster != "" {
		cluster := config.cluster(request.Namespace, request.Cluster)
		if cluster == nil {
			refuse(w, http.StatusNotFound,
				fmt.Sprintf("guest cluster %q not found in namespace %q", request.Cluster, request.Namespace))
			return
		}
		audience = cluster.Audience
		response.Server = cluster.Server
		response.CA = base64.StdEncoding.EncodeToString([]byte(cluster.CA))
	}
	response.SessionID, err = issuer.sign(user, audience)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	reply(w, http.StatusOK, response)
}

// cluster finds a workload cluster; without a namespace, in any.
func (c *Config) cluster(namespace, name string) *Cluster {
	for index := range c.Clusters {
		cluster := &c.Clusters[index]
		if cluster.Name == name && (namespace == "" || cluster.Namespace == namespace) {
			return cluster
		}
	}
	return nil
}

func refuse(w http.ResponseWriter, status int, message string) {
	reply(w, status, map[string]any{"code": status, "message": message})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
