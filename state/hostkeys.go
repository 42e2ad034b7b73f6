package state

import (
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	hostKeyFile = "ssh_host_ed25519_key"
	hostKeyTime = "host_keys_next_at"
)

// HostKeys are the gateway's host keys at one time.
type HostKeys struct {
	Key    ssh.Signer   // ed25519
	Others []ssh.Signer // ECDSA of P-256 and RSA of 3072 bits, where they were made
	Next   []ssh.Signer // they take the places of those of their kinds; none unless a rotation is under way
	At     time.Time    // when they do; zero: when somebody says so
}

// HostKeys returns the host keys as they are now. With others, those for clients that
// know no ed25519 are made where they are missing and none are given, which takes a moment. The files are
// read once: see [State.ReadHostKeys].
func (s *State) HostKeys(others bool) (HostKeys, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	isMade := !others || len(s.hostKeys.Others) > 0 || s.given != ""
	if isMade && !isDue(s.hostKeys.At) {
		return s.hostKeys, nil
	}
	if !isMade {
		for _, file := range s.hostKeyFiles()[1:] {
			if _, err := file.loadOrMake(); err != nil {
				return HostKeys{}, err
			}
		}
	}
	return s.readHostKeys()
}

// HostKey is the key of HostKeys that is ed25519.
func (s *State) HostKey() ssh.Signer {
	keys, _ := s.HostKeys(false) // those that were read last, if there is an error
	return keys.Key
}

// ReadHostKeys reads the host keys again, which another process may have changed.
func (s *State) ReadHostKeys() (HostKeys, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readHostKeys()
}

// RotateHostKeys makes a key beside each host key, to take its place at a time, or,
// where that is zero, when [State.FinishHostKeys] is called.
func (s *State) RotateHostKeys(at time.Time) error {
	if _, err := s.ReadHostKeys(); err != nil { // which finishes one that is due
		return err
	}
	return s.hostKeyRotation().begin(at)
}

// FinishHostKeys puts the next host keys in the places of those that there are.
func (s *State) FinishHostKeys() error { return s.hostKeyRotation().finish() }

// CancelHostKeys ends a rotation: the host keys stay as they are.
func (s *State) CancelHostKeys() error { return s.hostKeyRotation().cancel() }

// hostKeyFiles are those of the host keys; the first one is always there.
func (s *State) hostKeyFiles() []keyFile {
	const comment = "berth host key"
	return []keyFile{
		keyFile{hostKeyFile, comment, newEd25519}.in(s.keysDir()),
		keyFile{"ssh_host_ecdsa_key", comment, newECDSA}.in(s.keysDir()),
		keyFile{"ssh_host_rsa_key", comment, newRSA}.in(s.keysDir()),
	}
}

func (s *State) hostKeyRotation() rotation {
	return rotation{s.hostKeyFiles(), filepath.Join(s.keysDir(), hostKeyTime), s.given}
}

// readHostKeys reads the files. Next keys that are due take their places; where their
// files cannot be renamed now, they count as if they were, and are renamed another time.
func (s *State) readHostKeys() (HostKeys, error) {
	keys, err := s.hostKeysInFiles()
	if err != nil {
		return s.hostKeys, err
	}
	if len(keys.Next) > 0 && isDue(keys.At) {
		s.hostKeyRotation().finish()
		keys = keys.after()
	}
	s.hostKeys = keys
	return keys, nil
}

func (s *State) hostKeysInFiles() (keys HostKeys, err error) {
	files := s.hostKeyFiles()
	if keys.Key, err = files[0].load(); err != nil {
		return keys, err
	}
	for _, file := range files[1:] {
		if key, err := file.load(); err == nil {
			keys.Others = append(keys.Others, key)
		} else if ignoring(err, fs.ErrNotExist) != nil {
			return keys, err
		}
	}
	keys.Next, keys.At, err = s.hostKeyRotation().next()
	return keys, err
}

// after are the keys when the next ones have taken their places.
func (k HostKeys) after() HostKeys {
	place := func(key ssh.Signer) ssh.Signer {
		for _, next := range k.Next {
			if next.PublicKey().Type() == key.PublicKey().Type() {
				return next
			}
		}
		return key
	}
	after := HostKeys{Key: place(k.Key), Others: slices.Clone(k.Others)}
	for i, other := range after.Others {
		after.Others[i] = place(other)
	}
	return after
}
