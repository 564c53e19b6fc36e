// Package placeholder makes up the values of secrets where nobody has the real ones.
package placeholder

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/tenantry/tenantry/render"
)

// Value is what a secret is that is no certificate.
const Value = "placeholder"

// Environment is a value for each variable that Secrets of the units take one from; see render.SecretSource. The
// certificates sign themselves and are another pair each time.
func Environment(units []render.Unit) (map[string]string, error) {
	values := map[string]string{}
	for _, u := range units {
		for _, file := range u.Files {
			secret, ok := file.Object.(*corev1.Secret)
			if !ok {
				continue
			}
			pair := map[string][]byte{}
			if secret.Type == corev1.SecretTypeTLS {
				var err error
				if pair, err = KeyPair(); err != nil {
					return nil, err
				}
			}
			for annotation, source := range secret.Annotations {
				key, ours := strings.CutPrefix(annotation, render.SecretPrefix)
				variable, environment := strings.CutPrefix(source, "environment:")
				if !ours || !environment {
					continue
				}
				values[variable] = Value
				if data, ok := pair[key]; ok {
					values[variable] = string(data)
				}
			}
		}
	}
	return values, nil
}

// KeyPair is the data of a Secret of type kubernetes.io/tls with a certificate that signs itself.
func KeyPair() (map[string][]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: Value}, NotBefore: now.Add(-time.Minute), NotAfter: now.AddDate(1, 0, 0)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}, nil
}
