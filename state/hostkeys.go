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
	Others []ssh.Signer // ECDSA of P-256 and RSA of 3072 bits, if they were made
	Next   []ssh.Signer // each replaces the key of its kind; none unless a rotation is under way
	At     time.Time    // when they replace them; zero: when FinishHostKeys is called
}

// HostKeys returns the present host keys. If others is true, it also makes the
// missing ones for clients that do not know ed25519, which takes a moment, unless the
// keys are given. It reads the files only once: see [State.ReadHostKeys].
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

// HostKey returns the ed25519 key of HostKeys.
func (s *State) HostKey() ssh.Signer {
	keys, _ := s.HostKeys(false) // after an error, those that were read last
	return keys.Key
}

// ReadHostKeys reads the host keys again, since another process may have changed
// them.
func (s *State) ReadHostKeys() (HostKeys, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readHostKeys()
}

// RotateHostKeys makes a next key for each host key. They replace the present ones at
// a time, or, if that is zero, when [State.FinishHostKeys] is called.
func (s *State) RotateHostKeys(at time.Time) error {
	if _, err := s.ReadHostKeys(); err != nil { // completes a rotation that is due
		return err
	}
	return s.hostKeyRotation().begin(at)
}

// FinishHostKeys replaces the present host keys by the next ones.
func (s *State) FinishHostKeys() error { return s.hostKeyRotation().finish() }

// CancelHostKeys ends a rotation: the host keys stay as they are.
func (s *State) CancelHostKeys() error { return s.hostKeyRotation().cancel() }

// hostKeyFiles returns the files of the host keys; the first one always exists.
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

// readHostKeys reads the files. Next keys that are due replace the present ones. If
// their files cannot be renamed now, they count as if they were, and are renamed
// another time.
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

// after returns the keys as they are when the next ones have replaced the present
// ones.
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
