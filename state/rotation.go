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

// nextSuffix is the suffix of the file of a key that will replace another one.
const nextSuffix = ".next"

// errRotating is the error if a rotation is under way already.
var errRotating = errors.New("the next keys are there already: finish that rotation, or cancel it")

// rotation replaces the keys in some files by new ones, which are first made beside
// them and later renamed. A program that does not know rotations sees the old keys
// until then, and the new ones afterwards.
type rotation struct {
	files []keyFile
	time  string // the file with the time of the replacement; "": there is none
	given string // the directory of keys that are only read; "": they are changed here
}

// refuseGiven returns an error if the keys are given, and so must be changed
// elsewhere.
func (r rotation) refuseGiven() error {
	if r.given == "" {
		return nil
	}
	return fmt.Errorf("the keys are given in %s, where this program changes none; rotate them where they come from", r.given)
}

// begin makes a next key for each existing one. They replace the present ones at a
// time, or, if that is zero, when finish is called.
func (r rotation) begin(at time.Time) error {
	if err := r.refuseGiven(); err != nil {
		return err
	}
	for _, file := range r.files {
		if _, err := os.Stat(file.path + nextSuffix); err == nil {
			return errRotating
		}
	}
	if err := r.setTime(at); err != nil { // before the keys, which must never exist without it
		return err
	}
	for _, file := range r.files {
		if _, err := os.Stat(file.path); errors.Is(err, fs.ErrNotExist) {
			continue // it will be made when somebody needs it
		}
		next := file
		next.path += nextSuffix
		if err := next.make(); err != nil {
			return err
		}
	}
	return nil
}

// next returns the next keys, in the order of the files, and when they replace the
// present ones.
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

// finish replaces the present keys by the next ones.
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

// cancel removes the next keys.
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

// isDue reports whether a time has come; the zero time never does.
func isDue(at time.Time) bool { return !at.IsZero() && !time.Now().Before(at) }

func ignoring(err, ignored error) error {
	if errors.Is(err, ignored) {
		return nil
	}
	return err
}
