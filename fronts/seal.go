package fronts

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/front/messages"
	"github.com/berth-ssh/berth/keeper"
)

// What a proof proves.
const (
	aStep  = "step"  // of a login that takes more of them
	aLogin = "login" // a whole login
)

// stepAge is how old the proof of a step may be when the next step follows; loginAge
// is how old a login may be when it opens a host for the first time.
const (
	stepAge  = keeper.ApprovalTime + 2*time.Minute
	loginAge = 2 * time.Minute
)

// errProof is the error when a front acts for an identity that it was not given. An
// honest front never does.
var errProof = errors.New("no such identity was given out to this front")

// sealer makes and verifies proofs.
type sealer struct{ key []byte }

// sealed is the content of a proof; it follows the message authentication code.
type sealed struct {
	Kind string
	At   time.Time
	Who  json.RawMessage
}

func (s sealer) code(said []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(said)
	return mac.Sum(nil)
}

// give returns an identity for the front, with a proof of it.
func (s sealer) give(kind string, who auth.Identity) (messages.Proof, json.RawMessage, error) {
	return s.giveAs(kind, time.Now(), who)
}

// giveAs is give with another time than now.
func (s sealer) giveAs(kind string, at time.Time, who auth.Identity) (messages.Proof, json.RawMessage, error) {
	encoded, err := messages.EncodeIdentity(who)
	if err != nil {
		return nil, nil, err
	}
	said, err := json.Marshal(sealed{kind, at, encoded})
	return append(s.code(said), said...), encoded, err
}

// again returns a newer identity with a proof as old as the former one: a login of
// hours ago must not count as a new one.
func (s sealer) again(proof messages.Proof, now auth.Identity) (messages.Proof, json.RawMessage, error) {
	said, err := s.read(aLogin, proof)
	if err != nil {
		return nil, nil, err
	}
	return s.giveAs(aLogin, said.At, now)
}

// open returns the identity in a proof that is at most age old; 0 allows any age.
func (s sealer) open(kind string, proof messages.Proof, age time.Duration) (auth.Identity, error) {
	said, err := s.read(kind, proof)
	if err != nil {
		return auth.Identity{}, err
	}
	if age > 0 && time.Since(said.At) > age {
		return auth.Identity{}, errProof
	}
	return messages.DecodeIdentity(said.Who)
}

// read verifies a proof of the given kind and returns its content.
func (s sealer) read(kind string, proof messages.Proof) (said sealed, err error) {
	if len(proof) < sha256.Size || !hmac.Equal(s.code(proof[sha256.Size:]), proof[:sha256.Size]) {
		return said, errProof
	}
	if err := json.Unmarshal(proof[sha256.Size:], &said); err != nil {
		return said, err
	}
	if said.Kind != kind {
		return said, errProof
	}
	return said, nil
}
