// Package state is what a box keeps on disk for Berth: the gateway's host key,
// the user CA that containers trust, the host keys pinned to containers, and the
// secret by which provision knows what it made.
//
// The directory is made on first use, mode 0700, and neither its keys nor the secret are ever made
// anew: a client that has seen the host key must see it for ever, and a
// container that trusts the user CA must go on trusting it. The private halves
// never leave the directory; containers get the CA's public half only.
package state

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// DefaultDir is where state is kept unless the configuration says otherwise.
const DefaultDir = "/var/lib/berth"

const (
	hostKeyFile = "ssh_host_ed25519_key"
	ecdsaFile   = "ssh_host_ecdsa_key"
	rsaFile     = "ssh_host_rsa_key"
	userCAFile  = "user_ca"
	pinsDir     = "pinned"

	rsaBits = 3072
)

// State is an open state directory.
type State struct {
	dir     string
	hostKey ssh.Signer
	userCA  ssh.Signer

	otherHostKeys func() ([]ssh.Signer, error)
}

// Open opens the state directory, creating it and the keys it lacks. Two
// processes that open a new directory at once get the same keys.
func Open(dir string) (*State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := CheckOwner(dir); err != nil {
		return nil, fmt.Errorf("state directory %s: %w", dir, err)
	}
	if err := refuseOpenToOthers(dir); err != nil {
		return nil, err
	}
	if err := checkFormat(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, pinsDir), 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	hostKey, err := loadOrMakeKey(filepath.Join(dir, hostKeyFile), "berth host key", newEd25519)
	if err != nil {
		return nil, err
	}
	userCA, err := loadOrMakeKey(filepath.Join(dir, userCAFile), "berth user CA", newEd25519)
	if err != nil {
		return nil, err
	}
	s := &State{dir: dir, hostKey: hostKey, userCA: userCA}
	s.otherHostKeys = sync.OnceValues(s.loadOtherHostKeys)
	return s, nil
}

// Dir is the path of the directory.
func (s *State) Dir() string { return s.dir }

// HostKey is what the gateway shows to clients.
func (s *State) HostKey() ssh.Signer { return s.hostKey }

// OtherHostKeys are for clients that know no ed25519: ECDSA of P-256, and RSA
// of 3072 bits. They are made when they are first asked for, which takes a
// moment.
func (s *State) OtherHostKeys() ([]ssh.Signer, error) { return s.otherHostKeys() }

func (s *State) loadOtherHostKeys() ([]ssh.Signer, error) {
	ecdsaKey, err := loadOrMakeKey(filepath.Join(s.dir, ecdsaFile), "berth host key", newECDSA)
	if err != nil {
		return nil, err
	}
	rsaKey, err := loadOrMakeKey(filepath.Join(s.dir, rsaFile), "berth host key", newRSA)
	if err != nil {
		return nil, err
	}
	return []ssh.Signer{ecdsaKey, rsaKey}, nil
}

// UserCA signs the certificate with which the gateway logs in to a container.
func (s *State) UserCA() ssh.Signer { return s.userCA }

// UserCAPublic is the CA's public half, as one line of an authorized_keys file
// without its newline; it is what sshd's TrustedUserCAKeys reads.
func (s *State) UserCAPublic() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.userCA.PublicKey())))
}

// PinnedHostKeys are the host keys that the container with this id must show;
// none if it was never seen.
func (s *State) PinnedHostKeys(containerID string) ([]ssh.PublicKey, error) {
	text, err := os.ReadFile(s.pinFile(containerID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ParsePublicKeys(text)
}

// PinHostKeys remembers the host keys of a container for ever: for as long as
// a container with this id exists.
func (s *State) PinHostKeys(containerID string, keys []ssh.PublicKey) error {
	var text []byte
	for _, key := range keys {
		text = append(text, ssh.MarshalAuthorizedKey(key)...)
	}
	return writeNew(s.pinFile(containerID), text, 0o600)
}

// ForgetHostKeys drops the pin of a container that no longer exists.
func (s *State) ForgetHostKeys(containerID string) error {
	err := os.Remove(s.pinFile(containerID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s *State) pinFile(containerID string) string {
	return filepath.Join(s.dir, pinsDir, filepath.Base(containerID))
}

// ParsePublicKeys reads public keys, one a line, as in a .pub file.
func ParsePublicKeys(text []byte) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for rest := text; len(strings.TrimSpace(string(rest))) > 0; {
		key, _, _, next, err := ssh.ParseAuthorizedKey(rest)
		if err != nil {
			return nil, fmt.Errorf("public key %d: %w", len(keys)+1, err)
		}
		keys, rest = append(keys, key), next
	}
	return keys, nil
}

// Check returns the error that [Open] would return for the mode of the
// directory. It creates nothing; a directory that does not exist is right.
func Check(dir string) error {
	err := refuseOpenToOthers(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func refuseOpenToOthers(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("state directory %s is not a directory", dir)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return fmt.Errorf("state directory %s is open to others (mode %04o): chmod 0700 %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// loadOrMakeKey makes a key in OpenSSH's own format, so that ssh-keygen can read
// it, and only where there is none yet.
func loadOrMakeKey(path, comment string, generate func() (crypto.PrivateKey, error)) (ssh.Signer, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(path, comment, generate); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("%s: %w", comment, err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", comment, err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s is not a private key that this program can read: %w", comment, path, err)
	}
	return signer, nil
}

func newEd25519() (crypto.PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

func newECDSA() (crypto.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func newRSA() (crypto.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }

func makeKey(path, comment string, generate func() (crypto.PrivateKey, error)) error {
	private, err := generate()
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return err
	}
	return writeNew(path, pem.EncodeToMemory(block), 0o600)
}

// writeNew writes a file that must not exist yet, whole or not at all: a link
// to a finished temporary file fails where another process was first.
func writeNew(path string, content []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Link(tmp.Name(), path)
}
