package checks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"time"

	"golang.org/x/crypto/ssh"
)

func bulkChecks() []Check {
	return []Check{{Name: "bulk both ways, with rekeys", timeout: 10 * time.Minute, run: checkBulk}}
}

// rekeys is how often, about, new keys are exchanged under way.
const rekeys = 16

// checkBulk sends and gets the same bytes at the same time, under load from
// both sides in every exchange of keys.
func checkBulk(ctx context.Context, v *visit) (string, error) {
	v, err := v.enterWith(ctx, ssh.Config{RekeyThreshold: uint64(v.target.Bulk / rekeys)})
	if err != nil {
		return "", err
	}
	session, err := v.client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	var none bytes.Buffer
	sent, got := newSummed(), newSummed()
	session.Stdin = io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{}), v.target.Bulk), sent)
	session.Stdout = got
	began := time.Now()
	e, err := endOf(session.Run(inShell("cat; exit 9")), &none, &none)
	if err != nil || e.status != 9 || sent.sum() != got.sum() {
		return "", errors.Join(failed(fmt.Sprintf("the %d bytes that were sent and exit status 9", v.target.Bulk),
			fmt.Sprintf("%d bytes and %v", got.size, e), ""), err)
	}
	if exchanges := v.exchanges.Load(); exchanges < rekeys/2 {
		return "", failed(fmt.Sprintf("new keys %d times", rekeys), exchanges, "")
	}
	rate := float64(v.target.Bulk) / (1 << 20) / time.Since(began).Seconds()
	return fmt.Sprintf("%d MiB each way, %.0f MiB/s, %d key exchanges", v.target.Bulk>>20, rate, v.exchanges.Load()), nil
}

// summed counts and hashes what is written to it.
type summed struct {
	size int64
	hash hash.Hash
}

func newSummed() *summed { return &summed{hash: sha256.New()} }

func (s *summed) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	return s.hash.Write(p)
}

func (s *summed) sum() string { return string(s.hash.Sum(nil)) }
