package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Bounds on what a hash may ask for, so that none in a configuration can stop
// the machine. Memory is in KiB.
const (
	maxMemory     = 256 * 1024
	maxTime       = 10
	maxThreads    = 16
	maxBcryptCost = 14
	minSalt       = 8
	minTag        = 16
	maxSaltAndTag = 64

	maxPassword = 1024 // bytes
)

// The cost of the hashes that are made here: 19 MiB, two passes.
const (
	defaultMemory  = 19 * 1024
	defaultTime    = 2
	defaultThreads = 1
	defaultSalt    = 16
	defaultTag     = 32
)

var (
	errHash           = errors.New("not an argon2id or bcrypt hash")
	errHashBounds     = fmt.Errorf("the hash asks for too much; at most m=%d, t=%d, p=%d", maxMemory, maxTime, maxThreads)
	errBcryptBounds   = fmt.Errorf("the hash asks for too much; at most bcrypt cost %d", maxBcryptCost)
	errPasswordLength = fmt.Errorf("a password has 1 to %d bytes", maxPassword)
)

// HashPassword hashes a password of 1 to 1024 bytes with argon2id (RFC 9106)
// and a salt of its own, as a PHC string.
func HashPassword(password []byte) (string, error) {
	if len(password) == 0 || len(password) > maxPassword {
		return "", errPasswordLength
	}
	h := defaultArgon2()
	rand.Read(h.salt)
	h.tag = h.sum(password)
	return h.String(), nil
}

// CheckHash says what is wrong with a password hash: argon2id as a PHC string,
// or bcrypt. It never quotes the hash.
func CheckHash(hash string) error {
	_, err := parseHash(hash)
	return err
}

// fingerprint tells one password hash from another. It is as the fingerprints of
// keys are, and nothing of the hash can be had from it: a hash has a salt.
func fingerprint(hash string) string {
	sum := sha256.Sum256([]byte(hash))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// parseHash returns the function that tells, in constant time, whether a
// password is the one that was hashed.
func parseHash(s string) (verify func(password []byte) bool, err error) {
	if strings.HasPrefix(s, "$2") {
		return parseBcrypt(s)
	}
	h, err := parseArgon2(s)
	if err != nil {
		return nil, err
	}
	return h.verify, nil
}

func parseBcrypt(s string) (func([]byte) bool, error) {
	if !regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`).MatchString(s) {
		return nil, errHash
	}
	hash := []byte(s)
	cost, err := bcrypt.Cost(hash)
	if err != nil {
		return nil, errHash
	}
	if cost > maxBcryptCost {
		return nil, errBcryptBounds
	}
	return func(password []byte) bool {
		return bcrypt.CompareHashAndPassword(hash, password) == nil
	}, nil
}

// argon2Hash is an argon2id hash of version 1.3, memory in KiB.
type argon2Hash struct {
	memory, time uint32
	threads      uint8
	salt, tag    []byte
}

// defaultArgon2 has the default cost and no password that anyone knows.
func defaultArgon2() argon2Hash {
	return argon2Hash{
		memory:  defaultMemory,
		time:    defaultTime,
		threads: defaultThreads,
		salt:    make([]byte, defaultSalt),
		tag:     make([]byte, defaultTag),
	}
}

func parseArgon2(s string) (argon2Hash, error) {
	var h argon2Hash
	fields := strings.Split(s, "$")
	if len(fields) != 6 {
		return h, errHash
	}
	if n, _ := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); n != 3 {
		return h, errHash
	}
	h.salt, _ = base64.RawStdEncoding.DecodeString(fields[4])
	h.tag, _ = base64.RawStdEncoding.DecodeString(fields[5])
	if h.String() != s { // the one way to write it
		return h, errHash
	}
	return h, h.checkBounds()
}

func (h argon2Hash) checkBounds() error {
	switch {
	case h.memory > maxMemory, h.time > maxTime, h.threads > maxThreads:
		return errHashBounds
	case h.threads < 1, h.time < 1, h.memory < 8*uint32(h.threads):
		return errHash
	case len(h.salt) < minSalt, len(h.tag) < minTag, max(len(h.salt), len(h.tag)) > maxSaltAndTag:
		return errHash
	}
	return nil
}

func (h argon2Hash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.tag))
}

func (h argon2Hash) sum(password []byte) []byte {
	return argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, uint32(len(h.tag)))
}

func (h argon2Hash) verify(password []byte) bool {
	return subtle.ConstantTimeCompare(h.sum(password), h.tag) == 1
}
