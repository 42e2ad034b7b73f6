package setup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/auth"
)

// maxKeys is the size, in bytes, that a file of public keys may have.
const maxKeys = 1 << 20

// Key is a public key of a person.
type Key struct {
	Line string // type, key and, where it is harmless, comment
	From string // the file that it is in; "" where there is none
}

// Fingerprint is what ssh-keygen -l shows.
func (k Key) Fingerprint() string {
	key, err := auth.ParseKey(k.Line)
	if err != nil {
		return ""
	}
	return ssh.FingerprintSHA256(key)
}

// keysIn returns the keys in the .ssh of a home: authorized_keys and every .pub file.
// It leaves out what the gateway does not accept as a key: certificates, keys with
// options, weak keys.
func keysIn(home string) []Key {
	files, _ := filepath.Glob(filepath.Join(home, ".ssh", "*.pub")) // the pattern is well-formed
	var all []Key
	for _, file := range append(files, filepath.Join(home, ".ssh", "authorized_keys")) {
		text, err := readKeys(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(text) {
			if key, err := newKey(line, file); err == nil {
				all = append(all, key)
			}
		}
	}
	return unique(all)
}

// givenKey reads a key that a person names: the path of a .pub file, or the line
// in it.
func givenKey(given string) (Key, error) {
	if key, err := newKey(given, ""); err == nil {
		return key, nil
	}
	text, err := readKeys(given)
	if err != nil {
		return Key{}, fmt.Errorf("%q is neither a public key nor a file with one: %w", given, err)
	}
	key, err := newKey(text, given)
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", given, err)
	}
	return key, nil
}

func newKey(line, from string) (Key, error) {
	key, err := auth.ParseKey(line)
	if err != nil {
		return Key{}, err
	}
	k := Key{Line: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), From: from}
	harmless := regexp.MustCompile(`^[\w.@+-]+$`) // in YAML and on a terminal
	if fields := strings.Fields(line); len(fields) == 3 && harmless.MatchString(fields[2]) {
		k.Line += " " + fields[2]
	}
	return k, nil
}

func unique(keys []Key) []Key {
	var result []Key
	seen := map[string]bool{}
	for _, key := range keys {
		if print := key.Fingerprint(); !seen[print] {
			seen[print] = true
			result = append(result, key)
		}
	}
	return result
}

// readKeys reads a small file. Somebody else may own it: it is no device or pipe,
// at which root would wait, and no error quotes what is in it.
func readKeys(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", errors.Unwrap(err)
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return "", errors.Unwrap(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxKeys))
	return string(bytes.TrimSpace(text)), err
}
