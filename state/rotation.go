package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// nextSuffix is that of the file of a key that is to take the place of another one.
const nextSuffix = ".next"

// errRotating is why no rotation begins.
var errRotating = errors.New("the next keys are there already: finish that rotation, or cancel it")

// rotation is how new keys take the place of those in some files: they are made beside
// them first, and renamed later. A program that knows no rotations sees the old keys
// until then, and the new ones after.
type rotation struct {
	files []keyFile
	time  string // the file that says when; none: when somebody says so
	given string // the directory of keys that are only read; "": they are changed here
}

// refuseGiven returns an error where the keys are changed elsewhere.
func (r rotation) refuseGiven() error {
	if r.given == "" {
		return nil
	}
	return fmt.Errorf("the keys are given in %s, where this program changes none; rotate them where they come from", r.given)
}

// begin makes a key beside each that is there. They take the places at a time, or, where
// it is zero, when finish is called.
func (r rotation) begin(at time.Time) error {
	if err := r.refuseGiven(); err != nil {
		return err
	}
	for _, file := range r.files {
		if _, err := os.Stat(file.path + nextSuffix); err == nil {
			return errRotating
		}
	}
	if err := r.setTime(at); err != nil { // before the keys, so that they are never without it
		return err
	}
	for _, file := range r.files {
		if _, err := os.Stat(file.path); errors.Is(err, fs.ErrNotExist) {
			continue // it is made when somebody needs it
		}
		next := file
		next.path += nextSuffix
		if err := next.make(); err != nil {
			return err
		}
	}
	return nil
}

// next returns the keys that were made, in the files' order, and when they take their
// places.
func (r rotation) next() (keys []ssh.Signer, at time.Time, err error) {
	for _, file := range r.files {
		next := file
		next.path += nextSuffix
		key, err := next.load()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, at, err
		}
		keys = append(keys, key)
	}
	text, err := os.ReadFile(r.time)
	if err != nil || len(keys) == 0 {
		return keys, at, ignoring(err, fs.ErrNotExist)
	}
	at, err = time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	if err != nil {
		err = fmt.Errorf("%s is not a time; remove it, and finish the rotation of the keys yourself", r.time)
	}
	return keys, at, err
}

// finish puts the keys that were made in their places.
func (r rotation) finish() error {
	if err := r.refuseGiven(); err != nil {
		return err
	}
	for _, file := range r.files {
		if err := ignoring(os.Rename(file.path+nextSuffix, file.path), fs.ErrNotExist); err != nil {
			return err
		}
	}
	return r.setTime(time.Time{})
}

// cancel removes the keys that were made.
func (r rotation) cancel() error {
	if err := r.refuseGiven(); err != nil {
		return err
	}
	for _, file := range r.files {
		if err := ignoring(os.Remove(file.path+nextSuffix), fs.ErrNotExist); err != nil {
			return err
		}
	}
	return r.setTime(time.Time{})
}

func (r rotation) setTime(at time.Time) error {
	if at.IsZero() {
		return ignoring(os.Remove(r.time), fs.ErrNotExist)
	}
	return replace(r.time, at.UTC().Format(time.RFC3339)+"\n")
}

// isDue reports whether a time has come; zero is none.
func isDue(at time.Time) bool { return !at.IsZero() && !time.Now().Before(at) }

func ignoring(err, ignored error) error {
	if errors.Is(err, ignored) {
		return nil
	}
	return err
}
