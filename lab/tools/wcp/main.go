// Command wcp is the part of a vSphere Supervisor that people log in to: POST /wcp/login takes a vCenter user and
// password and gives a token for the Supervisor or for one of its workload clusters. It is also the OpenID Connect
// issuer whose discovery document and keys the API servers check these tokens with.
//
// What is asked and answered follows what clients of the real one send and read: `session_id`,
// `guest_cluster_server` and `guest_cluster_ca` (base64 of PEM).
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	configFile := flag.String("config", "", "JSON `file` with the settings")
	lifetime := flag.Duration("token-lifetime", 10*time.Hour, "how long a token is good for; ten hours on a real Supervisor")
	flag.Parse()

	config, err := readConfig(*configFile)
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := newIssuer(config.Issuer, config.SigningKeyFile, *lifetime)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr:              config.Listen,
		Handler:           newHandler(config, issuer),
		ReadHeaderTimeout: 60 * time.Second,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12},
	}
	log.Fatal(server.ListenAndServeTLS(config.CertificateFile, config.KeyFile))
}

// Config is what the settings file holds.
type Config struct {
	Listen          string `json:"listen"`
	CertificateFile string `json:"certificateFile"`
	KeyFile         string `json:"keyFile"`
	// Issuer is the URL that tokens name as theirs, and that this server is reached at.
	Issuer string `json:"issuer"`
	// SigningKeyFile is a PEM file with an RSA key.
	SigningKeyFile string `json:"signingKeyFile"`
	// Audience is what the Supervisor's API server wants in a token.
	Audience string `json:"audience"`
	// Users maps names to passwords.
	Users map[string]string `json:"users"`
	// Clusters are the workload clusters that tokens can be had for.
	Clusters []Cluster `json:"clusters"`
}

// Cluster is a workload cluster.
type Cluster struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	// Server is the address of its API server; empty while it has none.
	Server string `json:"server"`
	// CA is the PEM of its certificate authority.
	CA       string `json:"ca"`
	Audience string `json:"audience"`
}

func readConfig(file string) (*Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	config := &Config{}
	return config, json.Unmarshal(text, config)
}
