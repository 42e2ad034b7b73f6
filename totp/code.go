// Package totp keeps people's second factors: the secret that an authenticator shares
// with the box (RFC 6238), and the recovery codes.
//
// A [Store] is a directory with a file for each person who has enrolled. It writes
// the last used code to disk before it accepts it, so that no code is used twice,
// whatever happens to the gateway meanwhile.
package totp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const (
	stepLength = 30 * time.Second
	digits     = 6
	skew       = 1 // steps before and after the present one whose codes are right, too

	secretLength  = 20 // bytes, as RFC 4226 recommends
	recoveryCodes = 10
	recoveryBytes = 10 // 80 bits: nobody finds one from its hash
)

// Secret is what an authenticator and the box share.
type Secret []byte

// NewSecret makes a secret.
func NewSecret() Secret {
	secret := make(Secret, secretLength)
	rand.Read(secret)
	return secret
}

// String is the secret as people type it into an authenticator.
func (s Secret) String() string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(s)
}

// URI is the secret as authenticators read it from a QR code.
func (s Secret) URI(issuer, user string) string {
	query := url.Values{"secret": {s.String()}, "issuer": {issuer}}
	return "otpauth://totp/" + url.PathEscape(issuer) + ":" + url.PathEscape(user) + "?" + query.Encode()
}

// Code is the code of a moment (RFC 6238).
func (s Secret) Code(at time.Time) string { return s.code(stepOf(at)) }

func stepOf(at time.Time) int64 { return at.Unix() / int64(stepLength/time.Second) }

// code is that of a step (RFC 4226 §5.3).
func (s Secret) code(step int64) string {
	mac := hmac.New(sha1.New, s)
	binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	number := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", digits, number%1_000_000)
}

// newRecoveryCodes makes codes that people keep on paper.
func newRecoveryCodes() []string {
	codes := make([]string, recoveryCodes)
	for i := range codes {
		random := make([]byte, recoveryBytes)
		rand.Read(random)
		text := strings.ToLower(base32.StdEncoding.EncodeToString(random))
		codes[i] = text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
	}
	return codes
}

// hashOf is a recovery code's hash, however the code is typed. A code is random
// and long, so a slow hash adds nothing.
func hashOf(code string) string {
	sum := sha256.Sum256([]byte("berth recovery code " + bare(code)))
	return hex.EncodeToString(sum[:])
}

// bare is a code without what people type around it.
func bare(code string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\t' {
			return -1
		}
		return r
	}, strings.ToLower(strings.TrimSpace(code)))
}
