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

// Limits of a hash's cost, so that no hash in a configuration can overload the
// machine. Memory is in KiB.
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

// The cost of new hashes: 19 MiB, two passes.
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

// HashPassword returns the argon2id hash (RFC 9106) of a password of 1 to 1024 bytes,
// with a new salt, as a PHC string.
func HashPassword(password []byte) (string, error) {
	if len(password) == 0 || len(password) > maxPassword {
		return "", errPasswordLength
	}
	h := defaultArgon2()
	rand.Read(h.salt)
	h.tag = h.sum(password)
	return h.String(), nil
}

// CheckHash returns an error if a text is neither an argon2id hash as a PHC string
// nor a bcrypt hash. It never quotes the hash.
func CheckHash(hash string) error {
	_, err := parseHash(hash)
	return err
}

// fingerprint returns a text that differs between any two hashes, in the form of a
// key's fingerprint. It reveals nothing of the hash, which contains a salt.
func fingerprint(hash string) string {
	sum := sha256.Sum256([]byte(hash))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// hash is a stored password hash.
type hash struct {
	kind   kind
	verify func(password []byte) bool // takes the same time for right and wrong passwords
}

// kind has the parameters that decide how long the verification of a password takes.
type kind struct {
	bcryptCost   int // 0 for argon2id
	memory, time uint32
	threads      uint8
	tag          int // bytes
}

func parseHash(s string) (hash, error) {
	if strings.HasPrefix(s, "$2") {
		return parseBcrypt(s)
	}
	h, err := parseArgon2(s)
	return hash{kind{memory: h.memory, time: h.time, threads: h.threads, tag: len(h.tag)}, h.verify}, err
}

func parseBcrypt(s string) (hash, error) {
	if !regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`).MatchString(s) {
		return hash{}, errHash
	}
	cost, err := bcrypt.Cost([]byte(s))
	if err != nil {
		return hash{}, errHash
	}
	if cost > maxBcryptCost {
		return hash{}, errBcryptBounds
	}
	return hash{kind{bcryptCost: cost}, func(password []byte) bool {
		return bcrypt.CompareHashAndPassword([]byte(s), password) == nil
	}}, nil
}

// dummy returns a hash of this kind for a password that nobody knows.
func (k kind) dummy() hash {
	if k.bcryptCost > 0 {
		made, _ := parseBcrypt(fmt.Sprintf("$2a$%02d$%s", k.bcryptCost, strings.Repeat(".", 53))) // of the right form
		return made
	}
	h := argon2Hash{memory: k.memory, time: k.time, threads: k.threads, salt: make([]byte, defaultSalt), tag: make([]byte, k.tag)}
	return hash{k, h.verify}
}

// defaultKind returns the kind of [HashPassword]'s hashes.
func defaultKind() kind {
	return kind{memory: defaultMemory, time: defaultTime, threads: defaultThreads, tag: defaultTag}
}

// Limits below which the password of a hash is cheap to guess. They come from OWASP's
// smallest parameters, whose pairs of memory and passes all cost about the same.
const (
	cheapMemory     = 7 * 1024        // KiB
	cheapMemoryTime = 5 * cheapMemory // KiB times passes
	cheapBcryptCost = 10
)

// Doubt returns what is doubtful about a valid hash; "" for nothing.
func Doubt(s string) string {
	h, err := parseHash(s)
	k := h.kind
	switch {
	case err != nil:
		return ""
	case k.bcryptCost > 0 && k.bcryptCost < cheapBcryptCost:
		return fmt.Sprintf("the hash is cheap to guess (bcrypt cost %d)", k.bcryptCost)
	case k.bcryptCost > 0:
		return ""
	case k.memory < cheapMemory, k.memory*k.time < cheapMemoryTime:
		return fmt.Sprintf("the hash is cheap to guess (argon2id m=%d,t=%d)", k.memory, k.time)
	case k.threads > 1:
		return fmt.Sprintf("the hash takes several processors at once (argon2id p=%d)", k.threads)
	}
	return ""
}

// argon2Hash is an argon2id hash of version 1.3; memory is in KiB.
type argon2Hash struct {
	memory, time uint32
	threads      uint8
	salt, tag    []byte
}

// defaultArgon2 returns the default cost, without a password.
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
	if h.String() != s { // accept only the canonical spelling
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
