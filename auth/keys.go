package auth

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	minRSABits = 2048
	algoDSA    = "ssh-dss" // of 1024 bits, always (RFC 4253 section 6.6)
)

var (
	errKeyLine    = errors.New(`not a public key; write the one line of an id_….pub file, such as "ssh-ed25519 AAAA… name"`)
	errPrivateKey = errors.New("this is a private key, which nobody else may have; write the one line of its id_….pub file, and if others have read this file make a new key")
	errKeyForm    = errors.New("a public key in another form; write the one line that ssh-keygen -i -f FILE prints of it (-m PKCS8 or PEM for one that begins with -----), or that PuTTYgen shows")
	errKeyPath    = errors.New("the name of a file, and no key; write the line that is in it")
	errKeyPrint   = errors.New("the fingerprint of a key, and no key; write the one line of its .pub file")
	errKeyPart    = errors.New("a part of the key is missing or changed; copy the whole line of the id_….pub file")
	errKeyOptions = errors.New("options before a key are not supported; write the key alone")
	errCert       = errors.New("a certificate is not a key; write the key itself")
	errDSA        = errors.New("an ssh-dss key is too weak, and OpenSSH takes none any more; make one with ssh-keygen -t ed25519")
	errWeakKey    = errors.New("the key is too weak; use ssh-ed25519, or RSA of at least 2048 bits")
)

// ParseKey parses one public key as in an authorized_keys file or an id_….pub file.
// It refuses options instead of ignoring them, since they would restrict the key.
func ParseKey(line string) (ssh.PublicKey, error) {
	key, options, err := parseKeyLine(line)
	if err == nil && len(options) > 0 {
		return nil, errKeyOptions
	}
	return key, err
}

// parseKeyLine parses a key with options before it.
func parseKeyLine(line string) (key ssh.PublicKey, options []string, err error) {
	line = strings.TrimSpace(line)
	if strings.ContainsAny(line, "\r\n") {
		return nil, nil, CheckForm(line)
	}
	key, _, options, _, err = ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil && slices.Contains(strings.Fields(line), algoDSA):
		return nil, nil, errDSA
	case err != nil:
		return nil, nil, CheckForm(line)
	}
	if err := checkKey(key); err != nil {
		return nil, nil, err
	}
	return key, options, nil
}

// CheckForm recognises common texts that are no line with a key. Its error says what
// the text is and what to write instead, without quoting it.
func CheckForm(text string) error {
	first, _, more := strings.Cut(text, " ")
	switch {
	case strings.Contains(text, "PRIVATE KEY--"), strings.Contains(text, "\nPrivate-Lines:"):
		return errPrivateKey
	case strings.Contains(text, "---- BEGIN SSH2 "), strings.Contains(text, "-----BEGIN "), strings.Contains(text, "PuTTY-User-Key-File"):
		return errKeyForm
	case strings.HasPrefix(text, "SHA256:"), strings.HasPrefix(text, "MD5:"):
		return errKeyPrint
	case !more && (strings.HasPrefix(text, "/") || strings.HasPrefix(text, "~") || strings.HasSuffix(text, ".pub")):
		return errKeyPath
	case more && slices.Contains([]string{ssh.KeyAlgoED25519, ssh.KeyAlgoRSA, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256}, first):
		return errKeyPart
	}
	return errKeyLine
}

func checkKey(key ssh.PublicKey) error {
	if key == nil {
		return errKeyLine
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return errCert
	}
	if key.Type() == algoDSA {
		return errDSA
	}
	if isWeak(key) {
		return errWeakKey
	}
	return nil
}

func isWeak(key ssh.PublicKey) bool {
	if key.Type() == algoDSA {
		return true
	}
	holder, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return false
	}
	rsaKey, ok := holder.CryptoPublicKey().(*rsa.PublicKey)
	return ok && rsaKey.N.BitLen() < minRSABits
}

// keyring finds a key's owners by the key's fingerprint. It needs no user name for
// that, so an unknown user takes the same time as a known one.
type keyring map[string]*keyOwners

type keyOwners struct {
	key   ssh.PublicKey
	lines map[string][]Authorized // by user
}

func (r keyring) add(line Authorized, user string) {
	fingerprint := ssh.FingerprintSHA256(line.Key)
	if r[fingerprint] == nil {
		r[fingerprint] = &keyOwners{key: line.Key, lines: make(map[string][]Authorized)}
	}
	owners := r[fingerprint]
	owners.lines[user] = append(owners.lines[user], line)
}

// linesOf returns a user's lines with this key. It compares whole keys, not only
// fingerprints.
func (r keyring) linesOf(key ssh.PublicKey, user string) []Authorized {
	owners := r[ssh.FingerprintSHA256(key)]
	if owners == nil || !isSameKey(owners.key, key) {
		return nil
	}
	return owners.lines[user]
}

// opening returns a user's lines in which the key of this fingerprint itself logs in,
// not its certificates.
func (r keyring) opening(fingerprint, user string) []Authorized {
	owners := r[fingerprint]
	if owners == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(owners.lines[user]), func(line Authorized) bool { return line.Authority })
}

func isSameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
