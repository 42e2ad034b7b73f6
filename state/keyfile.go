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

	"golang.org/x/crypto/ssh"
)

const rsaBits = 3072

// keyFile says where a key is stored, and how it is made.
type keyFile struct {
	path     string
	comment  string // in the file
	generate func() (crypto.PrivateKey, error)
}

// in returns the file of the key in a directory.
func (f keyFile) in(dir string) keyFile {
	f.path = filepath.Join(dir, f.path)
	return f
}

// loadOrMake reads the key, or makes it if there is none.
func (f keyFile) loadOrMake() (ssh.Signer, error) {
	if _, err := os.Stat(f.path); errors.Is(err, fs.ErrNotExist) {
		if err := f.make(); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return f.load()
}

func (f keyFile) load() (ssh.Signer, error) {
	text, err := os.ReadFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.comment, err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s is not a private key that this program can read: %w", f.comment, f.path, err)
	}
	return signer, nil
}

// make creates a key in OpenSSH's own format, so that ssh-keygen can read it.
func (f keyFile) make() error {
	private, err := f.generate()
	if err != nil {
		return fmt.Errorf("%s: %w", f.comment, err)
	}
	block, err := ssh.MarshalPrivateKey(private, f.comment)
	if err == nil {
		err = writeNew(f.path, pem.EncodeToMemory(block), 0o600)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.comment, err)
	}
	return nil
}

func newEd25519() (crypto.PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

func newECDSA() (crypto.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func newRSA() (crypto.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }
