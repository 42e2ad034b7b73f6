// Package trust is what the gateway and a service need to trust each other: whose
// certificates count, and the secret by which the service knows the gateway. Both are
// files, which are read again for each use, so that they can be renewed meanwhile.
package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// TLS trusts the certificates in a file, in PEM; "" is the system's.
func TLS(file string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return config, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, cause(file, err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return config, nil
}

// Secret is the one line of a file. The error does not quote it.
func Secret(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", cause(file, err)
	}
	if info.Mode().Perm()&0o026 != 0 {
		return "", fmt.Errorf("%s is open to others (mode %04o); run: chmod g-w,o-rwx %[1]s", file, info.Mode().Perm())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", cause(file, err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" || strings.ContainsAny(secret, "\r\n\x00") {
		return "", fmt.Errorf("%s must have one line, the secret", file)
	}
	return secret, nil
}

func cause(file string, err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return fmt.Errorf("%s cannot be read: %w", file, err)
}

// Distrusts reports whether a connection failed because this side does not accept the
// other's certificate: it has expired, say, or nobody whom this side trusts has signed it.
func Distrusts(err error) bool {
	_, is := errors.AsType[*tls.CertificateVerificationError](err)
	return is
}

// IsDistrusted reports whether a connection failed because the other side does not accept
// this one's certificate, or wants one.
func IsDistrusted(err error) bool {
	return err != nil && strings.Contains(err.Error(), "remote error: tls: ") // whose type crypto/tls keeps to itself
}
