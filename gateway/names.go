package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/berth-ssh/berth/auth"
)

// nameInLog is what the log says of the user name that an attempt gave. People
// type a password where a name belongs, and it may look like a name: only a name
// that a user has is written out. Of others there is a digest, keyed by
// Server.LogKey: one name has one digest, and nobody without the key can try
// which.
func (s *Server) nameInLog(given string) string {
	login, err := auth.ParseLogin(given)
	switch {
	case err != nil:
		return "not a login"
	case s.LogUnknownUsers || s.Policies.Current().Knows(login.User):
		return login.String()
	}
	mac := hmac.New(sha256.New, s.LogKey)
	mac.Write([]byte(given))
	return "unknown:" + hex.EncodeToString(mac.Sum(nil)[:6])
}
