package pool

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/berth-ssh/berth/helper"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newPool() *Pool { return New(Idle, slog.New(slog.DiscardHandler)) }

var errStart = errors.New("for a test")

func TestAHelperThatDidNotStartIsStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, starts := newPool(), 0
		for range 2 {
			_, err := p.Open(t.Context(), Key{Container: "c1", Account: "dev"}, func() (*helper.Client, error) {
				starts++
				return nil, errStart
			})
			if !errors.Is(err, errStart) {
				t.Errorf("%v", err)
			}
			synctest.Wait() // it is forgotten
		}
		if starts != 2 {
			t.Errorf("%d starts", starts)
		}
		p.Close()
	})
}

// Two people at once need one helper; a person who leaves takes it from nobody.
func TestAStartIsSharedAndOutlivesWhoAskedForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		var starts atomic.Int32
		started := make(chan struct{})
		start := func() (*helper.Client, error) {
			starts.Add(1)
			<-started
			return nil, errStart
		}
		impatient, leave := context.WithCancel(t.Context())
		answers := make(chan error, 2)
		for _, ctx := range []context.Context{impatient, t.Context()} {
			go func() {
				_, err := p.Open(ctx, Key{Container: "c1", Account: "dev"}, start)
				answers <- err
			}()
		}
		synctest.Wait()
		leave()
		if err := <-answers; !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
		close(started)
		if err := <-answers; !errors.Is(err, errStart) || starts.Load() != 1 {
			t.Errorf("who stayed got %v after %d starts", err, starts.Load())
		}
		synctest.Wait()
		p.Close()
	})
}

func TestEachAccountHasAHelperOfItsOwn(t *testing.T) {
	p := newPool()
	var starts []Key
	for _, key := range []Key{{"c1", "dev", ""}, {"c1", "root", ""}, {"c2", "dev", ""}, {"c1", "dev", "eve"}} {
		p.Open(t.Context(), key, func() (*helper.Client, error) {
			starts = append(starts, key)
			return nil, errStart
		})
	}
	if len(starts) != 4 {
		t.Errorf("started %v", starts)
	}
	p.Close()
}
