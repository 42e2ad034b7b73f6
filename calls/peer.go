package calls

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
)

// ErrGone says that the other process is gone, or speaks no more.
var ErrGone = errors.New("the other process is gone")

// errBusy is the answer to one call too many.
var errBusy = errors.New("too many calls are under way")

// maxUnderWay is how many calls of the other process are answered at the same time, and
// maxBytesUnderWay how much all of them may say: one that is large and waits is kept.
const (
	maxUnderWay      = 8192
	maxBytesUnderWay = 64 << 20
)

// Verb answers a call. The files are the verb's to close, and those that it returns
// are closed when they are sent. The context ends when nobody waits for the answer any
// more.
type Verb func(ctx context.Context, args json.RawMessage, files []*os.File) (result any, give []*os.File, err error)

// Peer is an end of the pair. It is safe for use by many at once.
type Peer struct {
	conn  *net.UnixConn
	verbs map[string]Verb
	log   *slog.Logger
	all   context.Context // of all calls that are answered
	end   context.CancelFunc
	done  chan struct{}

	writing sync.Mutex

	mu       sync.Mutex
	last     uint64
	waiting  map[uint64]chan<- message // for an answer; nil when the peer is gone
	underWay map[uint64]context.CancelFunc
	bytes    int // of their bodies
}

// New makes a peer of its end, which it takes over, and of what it answers. What goes
// wrong in a verb is told to log.
func New(conn *net.UnixConn, verbs map[string]Verb, log *slog.Logger) *Peer {
	all, end := context.WithCancel(context.Background())
	return &Peer{
		conn: conn, verbs: verbs, log: log, all: all, end: end, done: make(chan struct{}),
		waiting: map[uint64]chan<- message{}, underWay: map[uint64]context.CancelFunc{},
	}
}

// NewPair makes the two ends: one of this process, and the file to give to the other.
func NewPair() (*net.UnixConn, *os.File, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	conn, err := FileConn(ours)
	if err != nil {
		theirs.Close()
	}
	return conn, theirs, err
}

// FileConn makes an end of its file, which it takes over.
func FileConn(file *os.File) (*net.UnixConn, error) {
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("not a unix socket")
	}
	return unix, nil
}

// Done is closed when the other process is gone.
func (p *Peer) Done() <-chan struct{} { return p.done }

// Close ends Serve.
func (p *Peer) Close() error { return p.conn.Close() }

// Serve answers calls, and passes answers on to who waits for them. It returns when
// the other process is gone, with an error if that said what is no message, and all
// verbs have returned.
func (p *Peer) Serve() error {
	var verbs sync.WaitGroup
	defer verbs.Wait()
	err := p.read(&verbs)
	p.conn.Close()
	p.end()
	p.mu.Lock()
	waiting := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	for _, answer := range waiting {
		close(answer)
	}
	close(p.done)
	return err
}

func (p *Peer) read(verbs *sync.WaitGroup) error {
	from := newReader(p.conn)
	defer from.close()
	for {
		m, err := from.next()
		if err != nil {
			return unlessOver(err)
		}
		switch m.kind {
		case kindCall:
			p.called(m, verbs)
		case kindCancel:
			p.cancel(m.call)
		case kindAnswer:
			if !p.answered(m) {
				m.close()
			}
		}
	}
}

// called answers a call in a goroutine of its own.
func (p *Peer) called(m message, verbs *sync.WaitGroup) {
	ctx := p.begin(m)
	if ctx == nil {
		m.close()
		p.answer(m.call, nil, nil, errBusy)
		return
	}
	verbs.Go(func() {
		defer p.over(m)
		result, give, err := p.do(ctx, m)
		p.answer(m.call, result, give, err)
	})
}

// begin is the context of a call that is answered now; nil where there are too many.
func (p *Peer) begin(m message) context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.underWay) >= maxUnderWay || p.bytes+len(m.body) > maxBytesUnderWay || p.underWay[m.call] != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(p.all)
	p.underWay[m.call] = cancel
	p.bytes += len(m.body)
	return ctx
}

func (p *Peer) cancel(call uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cancel := p.underWay[call]; cancel != nil {
		cancel()
	}
}

func (p *Peer) over(m message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.underWay[m.call]()
	delete(p.underWay, m.call)
	p.bytes -= len(m.body)
}

// do does what a call asks for. A panic ends that call only.
func (p *Peer) do(ctx context.Context, m message) (result any, give []*os.File, err error) {
	defer func() {
		if value := recover(); value != nil {
			p.log.Error("panic", "value", value, "stack", string(debug.Stack()))
			err = errors.New("it failed; the log says why")
		}
	}()
	var asked call
	if err := json.Unmarshal(m.body, &asked); err != nil {
		m.close()
		return nil, nil, errors.New("not a call")
	}
	verb := p.verbs[asked.Verb]
	if verb == nil {
		m.close()
		return nil, nil, fmt.Errorf("there is no verb %.40q", asked.Verb)
	}
	return verb(ctx, asked.Args, m.files)
}

func (p *Peer) answer(number uint64, result any, give []*os.File, err error) {
	defer closeAll(give)
	var said answer
	if err == nil {
		said.Result, err = json.Marshal(result)
	}
	if err != nil {
		said, give = answer{Error: err.Error()}, nil
	}
	body, err := json.Marshal(said)
	if err == nil {
		err = p.send(message{kindAnswer, number, body, give})
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		p.log.Debug("call not answered", "err", err)
	}
}

// answered passes an answer on, and reports whether somebody waits for it.
func (p *Peer) answered(m message) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting, ok := p.waiting[m.call]
	if ok {
		delete(p.waiting, m.call)
		waiting <- m // it has room for one
	}
	return ok
}

// Call calls the other process and returns its answer, with the files that it gives.
// When ctx ends, the other process is told so, and is to answer soon: the answer may
// still be what was asked for. The error is [ErrGone], or what the other process says.
func (p *Peer) Call(ctx context.Context, verb string, args, result any, files ...*os.File) ([]*os.File, error) {
	encoded, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(call{verb, encoded})
	if err != nil {
		return nil, err
	}
	number, answered, err := p.expect()
	if err != nil {
		return nil, err
	}
	if err := p.send(message{kindCall, number, body, files}); err != nil {
		p.forget(number)
		return nil, errors.Join(ErrGone, err)
	}
	stop := context.AfterFunc(ctx, func() { p.send(message{kind: kindCancel, call: number}) })
	defer stop()
	m, ok := <-answered
	if !ok {
		return nil, ErrGone
	}
	return m.files, m.result(result)
}

// expect makes an answer known to be waited for.
func (p *Peer) expect() (number uint64, answered <-chan message, err error) {
	waiting := make(chan message, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		return 0, nil, ErrGone
	}
	p.last++
	p.waiting[p.last] = waiting
	return p.last, waiting, nil
}

func (p *Peer) forget(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, number)
}
