// Command tlsdial tells whether Go takes the certificates that servers show: it reads a JSON array of dials, shakes
// hands for each as containerd's HTTP client does, and prints a JSON array of verdicts. Without an address, it tells
// whether a trust store keeps the roots. The registry's checks are held against it.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log"
	"net"
	"os"
	"strings"
	"time"
)

// Dial is one question.
type Dial struct {
	Address string `json:"address"`
	// ServerName is the host that the certificate must be for: a name or an address.
	ServerName string `json:"serverName"`
	// Roots is PEM.
	Roots string `json:"roots"`
	// Now is the time to verify at.
	Now time.Time `json:"now"`
}

// Verdict is the answer: no kind where the server is taken.
type Verdict struct {
	Kind  string `json:"kind,omitempty"`
	Error string `json:"error,omitempty"`
}

func main() {
	var dials []Dial
	if err := json.NewDecoder(os.Stdin).Decode(&dials); err != nil {
		log.Fatal(err)
	}
	verdicts := make([]Verdict, len(dials))
	for index, dial := range dials {
		if err := shakeHands(dial); err != nil {
			verdicts[index] = Verdict{Kind: kindOf(err), Error: err.Error()}
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(verdicts); err != nil {
		log.Fatal(err)
	}
}

func shakeHands(dial Dial) error {
	roots := x509.NewCertPool()
	kept := roots.AppendCertsFromPEM([]byte(dial.Roots)) // what it does not read, it passes over
	if dial.Address == "" {
		if !kept {
			return errors.New("failed to parse certificate")
		}
		return nil
	}
	dialer := &net.Dialer{Timeout: 60 * time.Second}
	connection, err := tls.DialWithDialer(dialer, "tcp", dial.Address, &tls.Config{
		RootCAs:    roots,
		ServerName: dial.ServerName,
		Time:       func() time.Time { return dial.Now },
	})
	if err != nil {
		return err
	}
	return connection.Close()
}

func kindOf(err error) string {
	var hostname x509.HostnameError
	var authority x509.UnknownAuthorityError
	var critical x509.UnhandledCriticalExtension
	var invalid x509.CertificateInvalidError
	switch text := err.Error(); {
	case errors.As(err, &hostname):
		return "host"
	case errors.As(err, &authority):
		return "authority"
	case errors.As(err, &critical):
		return "critical"
	case errors.As(err, &invalid):
		return reasons[invalid.Reason]
	case strings.Contains(text, "failed to parse certificate"):
		return "malformed"
	case strings.Contains(text, "-bit keys are insecure"), strings.Contains(text, "RSA key larger"):
		return "key"
	default:
		return "tls"
	}
}

var reasons = map[x509.InvalidReason]string{
	x509.NotAuthorizedToSign:        "not-ca",
	x509.Expired:                    "expired",
	x509.CANotAuthorizedForThisName: "constraints",
	x509.TooManyIntermediates:       "path-length",
	x509.IncompatibleUsage:          "usage",
	x509.NoValidChains:              "authority",
}
