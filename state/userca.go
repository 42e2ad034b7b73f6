package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	userCAFile   = "user_ca"
	formerCAFile = "user_ca_former" // the public halves of those before
)

// UserCA has the user CA's keys.
type UserCA struct {
	Key  ssh.Signer // signs the certificates with which the gateway logs in to hosts
	Next ssh.Signer // replaces Key when FinishUserCA is called; nil unless a rotation is under way

	// Former has the public halves of earlier CAs, with which hosts may have been
	// created.
	Former []string
}

// Trusted returns the public halves that hosts should trust, each as one line of an
// authorized_keys file without its newline, which is the form of sshd's
// TrustedUserCAKeys.
func (c UserCA) Trusted() []string {
	trusted := []string{publicLine(c.Key)}
	if c.Next != nil {
		trusted = append(trusted, publicLine(c.Next))
	}
	return trusted
}

// Made returns the public halves with which a host of ours may have been created. A
// host with another one belongs to another gateway.
func (c UserCA) Made() []string { return append([]string{publicLine(c.Key)}, c.Former...) }

func publicLine(key ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

// UserCA returns the user CA as it was read last: see [State.ReadKeys].
func (s *State) UserCA() UserCA {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.userCA
}

// RotateUserCA makes the next CA, which replaces the present one when
// [State.FinishUserCA] is called.
func (s *State) RotateUserCA() error { return s.userCARotation().begin(time.Time{}) }

// FinishUserCA replaces the present user CA by the next one.
func (s *State) FinishUserCA() error {
	if err := s.userCARotation().refuseGiven(); err != nil {
		return err
	}
	key, err := s.userCAFile().load()
	if err != nil {
		return err
	}
	former, err := s.formerCAs()
	if err != nil {
		return err
	}
	former = append(former, publicLine(key))
	if err := replace(filepath.Join(s.keysDir(), formerCAFile), strings.Join(former, "\n")+"\n"); err != nil {
		return err
	}
	return s.userCARotation().finish()
}

func (s *State) formerCAs() ([]string, error) {
	text, err := os.ReadFile(filepath.Join(s.keysDir(), formerCAFile))
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' }), ignoring(err, fs.ErrNotExist)
}

// CancelUserCA ends a rotation: the user CA stays as it is.
func (s *State) CancelUserCA() error { return s.userCARotation().cancel() }

func (s *State) userCARotation() rotation {
	return rotation{[]keyFile{s.userCAFile()}, filepath.Join(s.keysDir(), "user_ca_next_at"), s.given}
}

func (s *State) userCAFile() keyFile {
	return keyFile{userCAFile, "berth user CA", newEd25519}.in(s.keysDir())
}

// readUserCA reads the files.
func (s *State) readUserCA() error {
	key, err := s.userCAFile().load()
	if err != nil {
		return err
	}
	next, _, err := s.userCARotation().next()
	if err != nil {
		return err
	}
	former, err := s.formerCAs()
	if err != nil {
		return err
	}
	s.userCA = UserCA{Key: key, Former: former}
	if len(next) > 0 {
		s.userCA.Next = next[0]
	}
	return nil
}

// ReadKeys reads the host keys and the user CA again, since another process may have
// changed them.
func (s *State) ReadKeys() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.readHostKeys()
	return errors.Join(err, s.readUserCA())
}
