package calls

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair starts two peers, of which both answer the same verbs, until the test ends.
func pair(t *testing.T, verbs map[string]Verb) (a, b *Peer) {
	t.Helper()
	near, file, err := NewPair()
	if err != nil {
		t.Fatal(err)
	}
	far, err := FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	a, b = New(near, verbs, log), New(far, verbs, log)
	var serving sync.WaitGroup
	for _, p := range []*Peer{a, b} {
		serving.Go(func() {
			if err := p.Serve(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		a.Close()
		serving.Wait()
	})
	return a, b
}

func verbs() map[string]Verb {
	return map[string]Verb{
		"echo": func(_ context.Context, args json.RawMessage, files []*os.File) (any, []*os.File, error) {
			return args, files, nil
		},
		"fail": func(context.Context, json.RawMessage, []*os.File) (any, []*os.File, error) {
			return nil, nil, errors.New("so")
		},
		"panic": func(context.Context, json.RawMessage, []*os.File) (any, []*os.File, error) { panic("for a test") },
		"wait": func(ctx context.Context, _ json.RawMessage, _ []*os.File) (any, []*os.File, error) {
			<-ctx.Done()
			return "canceled", nil, nil
		},
	}
}

func TestBothCallEachOther(t *testing.T) {
	a, b := pair(t, verbs())
	var calling sync.WaitGroup
	for i := range 100 {
		for _, p := range []*Peer{a, b} {
			calling.Go(func() {
				var got int
				if _, err := p.Call(t.Context(), "echo", i, &got); err != nil || got != i {
					t.Errorf("%d, %v", got, err)
				}
			})
		}
	}
	calling.Wait()
	for verb, want := range map[string]string{"fail": "so", "panic": "it failed; the log says why", "dance": `there is no verb "dance"`} {
		if _, err := a.Call(t.Context(), verb, nil, nil); err == nil || err.Error() != want {
			t.Errorf("%s: %v", verb, err)
		}
	}
	large := strings.Repeat("x", 1<<20)
	var got string
	if _, err := a.Call(t.Context(), "echo", large, &got); err != nil || got != large {
		t.Errorf("a large one: %d bytes, %v", len(got), err)
	}
	if _, err := a.Call(t.Context(), "echo", strings.Repeat("x", maxBody), nil); err == nil {
		t.Error("one that is too large was sent")
	}
}

func TestFilesGoWithTheirCalls(t *testing.T) {
	a, _ := pair(t, verbs())
	var calling sync.WaitGroup
	for i := range 50 {
		calling.Go(func() {
			r, w, err := os.Pipe()
			if err != nil {
				t.Error(err)
				return
			}
			files, err := a.Call(t.Context(), "echo", i, nil, w)
			r2 := errors.Join(w.Close(), err)
			if r2 != nil || len(files) != 1 {
				t.Errorf("%d files, %v", len(files), r2)
				return
			}
			text := strings.Repeat("x", i)
			io.WriteString(files[0], text)
			files[0].Close()
			if got, err := io.ReadAll(r); string(got) != text || err != nil {
				t.Errorf("another's file came: %d bytes, want %d, %v", len(got), i, err)
			}
			r.Close()
		})
	}
	calling.Wait()
}

// The attack: a front that was taken over calls with as much as a call may say, for what
// takes its time, until its keeper has no memory left.
func TestWhatIsUnderWayIsBounded(t *testing.T) {
	a, _ := pair(t, verbs())
	large := strings.Repeat("x", maxBody-1<<10)
	most := maxBytesUnderWay / len(large)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	answers := make(chan error, most+1)
	var calling sync.WaitGroup
	for range most + 1 {
		calling.Go(func() {
			_, err := a.Call(ctx, "wait", large, nil)
			answers <- err
		})
	}
	if err := <-answers; err == nil || err.Error() != errBusy.Error() { // all others wait
		t.Errorf("one too many: %v", err)
	}
	cancel()
	calling.Wait()
	if _, err := a.Call(t.Context(), "echo", large, nil); err != nil {
		t.Errorf("after they are over: %v", err)
	}
}

func TestWhoGivesUpIsAnsweredSoon(t *testing.T) {
	a, _ := pair(t, verbs())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	var got string
	if _, err := a.Call(ctx, "wait", nil, &got); err != nil || got != "canceled" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhoWaitsIsToldOfTheEnd(t *testing.T) {
	a, b := pair(t, verbs())
	asked := make(chan error)
	go func() {
		_, err := a.Call(t.Context(), "wait", nil, nil)
		asked <- err
	}()
	b.Close()
	if err := <-asked; !errors.Is(err, ErrGone) {
		t.Error(err)
	}
	<-a.Done()
	if _, err := a.Call(t.Context(), "echo", nil, nil); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
}

// The attack: a process that was taken over sends what is no message, or more than
// there is room for, to end the other one or to have it keep ever more.
func FuzzWhatIsNoMessageEndsTheConnectionAlone(f *testing.F) {
	f.Add([]byte("hello"))
	f.Add(head(2, kindCall, 0, 1, `{}`))
	f.Add(head(38, kindCall, 0, 1, `{"verb":"echo","args":[1,{"a":"b"}]}  `))
	f.Add(head(1<<31, kindCall, 0, 1, ""))
	f.Add(head(4, kindAnswer, 0, 1, "null"))
	f.Add(head(0, kindCancel, 0, 1, ""))
	f.Add(head(2, kindCall, 3, 1, `{}`))
	f.Fuzz(func(t *testing.T, sent []byte) {
		near, file, err := NewPair()
		if err != nil {
			t.Fatal(err)
		}
		far, err := FileConn(file)
		if err != nil {
			t.Fatal(err)
		}
		p := New(near, verbs(), slog.New(slog.DiscardHandler))
		served := make(chan struct{})
		go func() {
			defer close(served)
			p.Serve()
		}()
		go io.Copy(io.Discard, far)
		far.Write(sent)
		far.CloseWrite()
		select {
		case <-served:
		case <-time.After(10 * time.Second):
			t.Error("it never ends")
		}
		far.Close()
	})
}

func head(size uint32, kind, files byte, call uint64, body string) []byte {
	b := make([]byte, headSize)
	binary.BigEndian.PutUint32(b, size)
	b[4], b[5] = kind, files
	binary.BigEndian.PutUint64(b[8:], call)
	return append(b, body...)
}

func TestMoreFilesThanMessagesTakeEndTheConnection(t *testing.T) {
	near, file, err := NewPair()
	if err != nil {
		t.Fatal(err)
	}
	far, err := FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	p := New(near, verbs(), slog.New(slog.DiscardHandler))
	served := make(chan error)
	go func() { served <- p.Serve() }()
	sender := &Peer{conn: far}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	four := []*os.File{null, null, null, null}
	for err := error(nil); err == nil; {
		m := message{kindCancel, 1, nil, four}
		err = sender.sendUncounted(m)
	}
	if err := <-served; !errors.Is(err, errFiles) && !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// sendUncounted sends files that the message does not take.
func (p *Peer) sendUncounted(m message) error {
	rights, err := rightsOf(m.files)
	return errors.Join(err, p.write(head(0, m.kind, 0, m.call, ""), rights))
}
