package auth

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Revoked holds keys and certificates that are invalid, whatever else says that they
// are valid. A nil *Revoked is empty.
type Revoked struct {
	fingerprints map[string]bool
	ids          map[string]bool
	serials      []serialRange
}

type serialRange struct{ first, last uint64 }

var (
	errBinaryKRL = errors.New("a key revocation list in OpenSSH's binary form; give the text that it was made from")
	errRevoked   = errors.New(`not a revocation; write a public key, or "serial: 7", "serial: 7-9", "id: name", "hash: SHA256:…"`)
)

// ParseRevoked parses a list of revoked keys and certificates in the form that
// ssh-keygen -k reads (ssh-keygen(1), KEY REVOCATION LISTS). A line is a public key,
// also one of an authority; "serial: N" or "serial: N-M"; "id: key-id"; "key: line";
// or "hash: SHA256:…". Serials and ids apply to the certificates of every authority.
func ParseRevoked(text []byte) (*Revoked, []LineError) {
	if bytes.HasPrefix(text, []byte("SSHKRL\n\x00")) {
		return nil, []LineError{{1, errBinaryKRL}}
	}
	r := &Revoked{fingerprints: map[string]bool{}, ids: map[string]bool{}}
	var wrong []LineError
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := r.add(line); err != nil {
			wrong = append(wrong, LineError{number, err})
		}
	}
	return r, wrong
}

func (r *Revoked) add(line string) error {
	kind, value, isNamed := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	if !isNamed || strings.ContainsAny(kind, " \t") {
		kind, value = "key", line
	}
	switch kind {
	case "key":
		return r.addKey(value)
	case "serial":
		return r.addSerials(value)
	case "id":
		r.ids[value] = true
	case "hash":
		if !strings.HasPrefix(value, "SHA256:") || len(value) != len("SHA256:")+43 {
			return errRevoked
		}
		r.fingerprints[value] = true
	default:
		return errRevoked
	}
	return nil
}

// addKey adds any key, also a weak one or a certificate.
func (r *Revoked) addKey(line string) error {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return errRevoked
	}
	if certificate, ok := key.(*ssh.Certificate); ok {
		key = certificate.Key
	}
	r.fingerprints[ssh.FingerprintSHA256(key)] = true
	return nil
}

func (r *Revoked) addSerials(value string) error {
	first, last, isRange := strings.Cut(value, "-")
	if !isRange {
		last = first
	}
	from, err := strconv.ParseUint(strings.TrimSpace(first), 0, 64)
	to, err2 := strconv.ParseUint(strings.TrimSpace(last), 0, 64)
	if err != nil || err2 != nil || to < from {
		return fmt.Errorf("%w; %.40q is no serial", errRevoked, value)
	}
	r.serials = append(r.serials, serialRange{from, to})
	return nil
}

// hasKey reports whether a key is revoked.
func (r *Revoked) hasKey(key ssh.PublicKey) bool {
	return r.hasFingerprint(ssh.FingerprintSHA256(key))
}

func (r *Revoked) hasFingerprint(fingerprint string) bool {
	return r != nil && r.fingerprints[fingerprint]
}

// has reports whether a certificate, its key or its authority is revoked.
func (r *Revoked) has(c *ssh.Certificate) bool {
	if r == nil {
		return false
	}
	for _, serials := range r.serials {
		if serials.first <= c.Serial && c.Serial <= serials.last {
			return true
		}
	}
	return r.ids[c.KeyId] || r.hasKey(c.Key) || r.hasKey(c.SignatureKey)
}
