package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"time"
)

// Issuer signs tokens (RS256) and publishes the key to check them with.
type Issuer struct {
	url      string
	key      *rsa.PrivateKey
	keyID    string
	lifetime time.Duration
	now      func() time.Time
}

func newIssuer(url, keyFile string, lifetime time.Duration) (*Issuer, error) {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New(keyFile + " holds no PEM")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(key.PublicKey.N.Bytes())
	return &Issuer{url: url, key: key, keyID: hex.EncodeToString(sum[:8]), lifetime: lifetime, now: time.Now}, nil
}

// sign gives a token for one user and one audience.
func (i *Issuer) sign(user, audience string) (string, error) {
	now := i.now()
	header, err := segment(map[string]string{"alg": "RS256", "typ": "JWT", "kid": i.keyID})
	if err != nil {
		return "", err
	}
	claims, err := segment(map[string]any{
		"iss": i.url,
		"aud": audience,
		// Kubernetes sees a vCenter user by this name.
		"sub": "sso:" + user,
		"iat": now.Unix(),
		"nbf": now.Add(-time.Minute).Unix(),
		"exp": now.Add(i.lifetime).Unix(),
	})
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(header + "." + claims))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return header + "." + claims + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// discovery is the document at /.well-known/openid-configuration.
func (i *Issuer) discovery() any {
	return map[string]any{
		"issuer":                                i.url,
		"jwks_uri":                              i.url + "/keys",
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	}
}

// keys is the JSON Web Key Set at /keys.
func (i *Issuer) keys() any {
	return map[string]any{"keys": []any{map[string]string{
		"kty": "RSA",
		"use": "sig",
		"alg": "RS256",
		"kid": i.keyID,
		"n":   base64.RawURLEncoding.EncodeToString(i.key.PublicKey.N.Bytes()),
		"e":   base64.RawURLEncoding.EncodeToString(big.NewInt(int64(i.key.PublicKey.E)).Bytes()),
	}}}
}

func segment(value any) (string, error) {
	text, err := json.Marshal(value)
	return base64.RawURLEncoding.EncodeToString(text), err
}
