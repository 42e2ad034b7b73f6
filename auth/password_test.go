package auth

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

const (
	salt16 = "AAECAwQFBgcICQoLDA0ODw"
	tag32  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

	// The reference implementation's own example.
	argon2OfPassword = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
)

func TestHashPassword(t *testing.T) {
	a, err := HashPassword([]byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") || CheckHash(a) != nil {
		t.Errorf("%s, %v", a, CheckHash(a))
	}
	if b, _ := HashPassword([]byte("correct horse")); a == b {
		t.Error("two hashes have one salt")
	}
	for password, want := range map[string]bool{"correct horse": true, "correct horse ": false, "Correct horse": false, "": false} {
		if got := verifies(t, a, password); got != want {
			t.Errorf("%q verifies: %v", password, got)
		}
	}
	for _, length := range []int{0, 1025} {
		if _, err := HashPassword(bytes.Repeat([]byte("x"), length)); err == nil {
			t.Errorf("a password of %d bytes is hashed", length)
		}
	}
}

func TestForeignHashes(t *testing.T) {
	made, err := bcrypt.GenerateFromPassword([]byte("password"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	rest := strings.TrimPrefix(string(made), "$2a$")
	for _, hash := range []string{argon2OfPassword, "$2a$" + rest, "$2b$" + rest, "$2y$" + rest} {
		if !verifies(t, hash, "password") || verifies(t, hash, "passwore") {
			t.Errorf("%s does not verify as it should", hash)
		}
	}
}

func verifies(t *testing.T, hash, password string) bool {
	t.Helper()
	parsed, err := parseHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.verify([]byte(password))
}

func TestHashesRefused(t *testing.T) {
	argon2 := func(parameters string) string { return "$argon2id$v=19$" + parameters + "$" + salt16 + "$" + tag32 }
	bcrypt53 := strings.Repeat("a", 53)
	for _, hash := range []string{
		"", "hunter2", "$", "$$$$$", "$argon2id$", "$6$salt$hash", "$1$x", "$2", "$2a$", "$2a$10$", "$2a$10$short",
		argon2("m=262145,t=2,p=1"), argon2("m=4294967295,t=2,p=1"), argon2("m=4294967296,t=2,p=1"), argon2("m=19456,t=11,p=1"),
		argon2("m=19456,t=2,p=17"), argon2("m=19456,t=2,p=256"), argon2("m=19456,t=2,p=0"), argon2("m=19456,t=0,p=1"),
		argon2("m=7,t=2,p=1"), argon2("m=0,t=2,p=1"), argon2("m=-1,t=2,p=1"), argon2("m=+19456,t=2,p=1"), argon2("m=019456,t=2,p=1"),
		argon2("m=19456,t=2,p=1 "), argon2("m=19456,t=2,p=1,data=x"), argon2("t=2,m=19456,p=1"), argon2("m=19456, t=2,p=1"),
		strings.Replace(argon2("m=19456,t=2,p=1"), "argon2id", "argon2i", 1),
		strings.Replace(argon2("m=19456,t=2,p=1"), "v=19", "v=16", 1),
		argon2("m=19456,t=2,p=1") + "\n", argon2("m=19456,t=2,p=1") + "$", argon2("m=19456,t=2,p=1") + "=",
		"$argon2id$v=19$m=19456,t=2,p=1$$" + tag32, "$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$AAAA", "$argon2id$v=19$m=19456,t=2,p=1$AAAA$" + tag32,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$" + strings.Repeat("AAAA", 100),
		"$2a$15$" + bcrypt53, "$2a$31$" + bcrypt53, "$2a$99$" + bcrypt53, "$2a$03$" + bcrypt53, "$2x$10$" + bcrypt53,
		"$2$10$" + bcrypt53, "$2a$10$" + bcrypt53 + "a", "$2a$10$" + strings.Repeat("a", 52) + "=",
	} {
		err := CheckHash(hash)
		if err == nil {
			t.Errorf("%q is taken", hash)
		}
		if len(hash) > 1 && strings.Contains(err.Error(), hash) {
			t.Errorf("the error repeats the hash: %v", err)
		}
	}
}

func TestDoubtfulHashes(t *testing.T) {
	argon2 := func(parameters string) string { return "$argon2id$v=19$" + parameters + "$" + salt16 + "$" + tag32 }
	bcrypted := "$" + strings.Repeat("a", 53)
	for hash, want := range map[string]string{
		argon2("m=19456,t=2,p=1"): "", argon2OfPassword: "", argon2("m=7168,t=5,p=1"): "", argon2("m=47104,t=1,p=1"): "",
		argon2("m=8,t=1,p=1"):     "the hash is cheap to guess (argon2id m=8,t=1)",
		argon2("m=19456,t=1,p=1"): "the hash is cheap to guess (argon2id m=19456,t=1)",
		argon2("m=4096,t=10,p=1"): "the hash is cheap to guess (argon2id m=4096,t=10)",
		argon2("m=65536,t=3,p=4"): "the hash takes several processors at once (argon2id p=4)",
		"$2a$10" + bcrypted:       "", "$2b$12" + bcrypted: "",
		"$2y$04" + bcrypted: "the hash is cheap to guess (bcrypt cost 4)",
		"hunter2":           "",
	} {
		if got := Doubt(hash); got != want {
			t.Errorf("%s: %q, want %q", hash, got, want)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add(argon2OfPassword)
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$" + tag32)
	f.Add("$2a$10$" + strings.Repeat("a", 53))
	f.Add("$argon2id$v=19$m=99999999999,t=2,p=1$a$b")
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 8 && CheckHash(in) != nil && strings.Contains(CheckHash(in).Error(), in) {
			t.Errorf("the error repeats the hash: %v", CheckHash(in))
		}
		h, err := parseArgon2(in)
		if err != nil {
			return
		}
		if h.String() != in || h.memory > maxMemory || h.time > maxTime || h.threads > maxThreads {
			t.Errorf("%q is taken as %+v", in, h)
		}
	})
}
