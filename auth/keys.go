package auth

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"
)

const minRSABits = 2048

var (
	errKeyLine    = errors.New(`not a public key; write the one line of an id_….pub file, such as "ssh-ed25519 AAAA… name"`)
	errKeyOptions = errors.New("options before a key are not supported; write the key alone")
	errCert       = errors.New("a certificate is not a key; write the key itself")
	errDSA        = errors.New("an ssh-dss key is too weak, and OpenSSH takes none any more; make one with ssh-keygen -t ed25519")
	errWeakKey    = errors.New("the key is too weak; use ssh-ed25519, or RSA of at least 2048 bits")
)

// ParseKey reads one public key as an authorized_keys file or an id_….pub file
// has it. Options, which would restrict the key, are refused rather than
// ignored.
func ParseKey(line string) (ssh.PublicKey, error) {
	line = strings.TrimSpace(line)
	if strings.ContainsAny(line, "\r\n") {
		return nil, errKeyLine
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil && strings.HasPrefix(line, ssh.InsecureKeyAlgoDSA+" "):
		return nil, errDSA
	case err != nil:
		return nil, errKeyLine
	}
	if len(options) > 0 {
		return nil, errKeyOptions
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return key, nil
}

func checkKey(key ssh.PublicKey) error {
	if key == nil {
		return errKeyLine
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return errCert
	}
	if isWeak(key) {
		return errWeakKey
	}
	return nil
}

func isWeak(key ssh.PublicKey) bool {
	if key.Type() == "ssh-dss" {
		return true
	}
	holder, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return false
	}
	rsaKey, ok := holder.CryptoPublicKey().(*rsa.PublicKey)
	return ok && rsaKey.N.BitLen() < minRSABits
}

// keyring knows whose a key is, by the key's fingerprint. It finds a key before
// it looks at any user, so an unknown user costs what a known one does.
type keyring map[string]*keyOwners

type keyOwners struct {
	blob  []byte
	users map[string]bool
}

func (r keyring) add(key ssh.PublicKey, user string) {
	fingerprint := ssh.FingerprintSHA256(key)
	if r[fingerprint] == nil {
		r[fingerprint] = &keyOwners{blob: key.Marshal(), users: make(map[string]bool)}
	}
	r[fingerprint].users[user] = true
}

// opens reports whether a key is the user's. Keys are compared whole.
func (r keyring) opens(key ssh.PublicKey, user string) bool {
	owners := r[ssh.FingerprintSHA256(key)]
	return owners != nil && bytes.Equal(owners.blob, key.Marshal()) && owners.users[user]
}

// isOf reports whether the key with a fingerprint is the user's.
func (r keyring) isOf(fingerprint, user string) bool {
	owners := r[fingerprint]
	return owners != nil && owners.users[user]
}
