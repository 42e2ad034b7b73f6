package fronts

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/berth-ssh/berth/front/messages"
	"github.com/berth-ssh/berth/helper"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/keeper"

	"golang.org/x/crypto/ssh"
)

// maxEntrances is how many entrances a front may have open.
const maxEntrances = 1 << 17

// remembered is how long questions can be asked about an entrance that was left or
// could not be opened.
const remembered = time.Minute

// errNotOpen is the error when a front names something that it has not opened.
var errNotOpen = errors.New("nothing like that is open to this front")

// entrances holds what a front has open. All of it is closed when the front ends.
type entrances struct {
	mu     sync.Mutex
	closed bool
	last   uint64
	open   map[uint64]*entrance
	inside map[personAt]int
}

type personAt struct{ person, host string }

// entrance is an open way into a host. After it was left, it only answers questions.
type entrance struct {
	of        personAt
	leave     func() // nil once it was left
	signer    ssh.Signer
	questions map[string]func(context.Context) string
}

// add keeps an entrance and returns its number.
func (e *entrances) add(one *entrance) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(e.open) >= maxEntrances {
		return 0, errors.New("the front has too much open")
	}
	if e.open == nil {
		e.open, e.inside = map[uint64]*entrance{}, map[personAt]int{}
	}
	e.last++
	e.open[e.last] = one
	if one.leave != nil {
		e.inside[one.of]++
	}
	return e.last, nil
}

// keep keeps, for a while, a function that tells why a host could not be entered. It
// returns its number.
func (e *entrances) keep(details func(context.Context) string) uint64 {
	number, err := e.add(&entrance{questions: map[string]func(context.Context) string{messages.Details: details}})
	if err != nil {
		return 0
	}
	e.forgetSoon(number)
	return number
}

func (e *entrances) forgetSoon(number uint64) {
	time.AfterFunc(remembered, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.open, number)
	})
}

// left closes an entrance. It is forgotten a while later: the front may still ask why
// it ended.
func (e *entrances) left(number uint64) {
	e.mu.Lock()
	one := e.open[number]
	var leave func()
	if one != nil {
		leave, one.leave, one.signer = one.leave, nil, nil
	}
	if leave != nil {
		e.goes(one.of)
	}
	e.mu.Unlock()
	if leave != nil {
		leave()
		e.forgetSoon(number)
	}
}

// goes records that a person leaves a host. The caller holds e.mu.
func (e *entrances) goes(of personAt) {
	if e.inside[of]--; e.inside[of] <= 0 {
		delete(e.inside, of)
	}
}

// has reports whether a person is in a host now.
func (e *entrances) has(person, host string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.inside[personAt{person, host}] > 0
}

func (e *entrances) signer(number uint64) (ssh.Signer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if one := e.open[number]; one != nil && one.signer != nil {
		return one.signer, nil
	}
	return nil, errNotOpen
}

func (e *entrances) question(q messages.Question) func(context.Context) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if one := e.open[q.Number]; one != nil {
		return one.questions[q.What]
	}
	return nil
}

// close closes all entrances.
func (e *entrances) close() {
	e.mu.Lock()
	e.closed = true
	var all []func()
	for _, one := range e.open {
		if one.leave != nil {
			all = append(all, one.leave)
		}
	}
	e.open = nil
	e.mu.Unlock()
	for _, end := range all {
		end()
	}
}

// enter opens a host for a person who has logged in, and hands it over to the front.
func (p *process) enter(ctx context.Context, e messages.Entry) (messages.Entered, *os.File, error) {
	who, err := p.seal.open(aLogin, e.Who, loginAge+p.Settings.Wait)
	if err != nil {
		return messages.Entered{}, nil, p.suspect(err)
	}
	entered, err := p.Keeper.Enter(ctx, who, e.Host)
	if err != nil {
		return messages.Entered{Failure: messages.FailureOf(err, p.entrances.keep)}, nil, nil
	}
	told := messages.Entered{
		Host: entered.Host, Account: entered.Account, Target: entered.Target, Limits: entered.Limits, Recorded: entered.Recorded,
		Before:  messages.Before{Ended: entered.Entrance.Before.Ended, Since: entered.Entrance.Before.Since},
		HasLost: entered.Entrance.WhyLost != nil,
	}
	one := &entrance{of: personAt{who.User, entered.Host.Name}, questions: questionsOf(entered.Entrance)}
	file, err := p.handOver(entered, &told, one)
	if err == nil {
		told.Number, err = p.entrances.add(one)
	}
	if err != nil {
		if file != nil {
			file.Close()
		}
		if one.leave != nil {
			one.leave()
		}
		return messages.Entered{}, nil, err
	}
	return told, file, nil
}

// questionsOf returns the questions that can be asked about an entrance.
func questionsOf(e hosts.Entrance) map[string]func(context.Context) string {
	all := map[string]func(context.Context) string{}
	if e.WhyLost != nil {
		all[messages.Lost] = func(context.Context) string { return e.WhyLost() }
	}
	if e.Before.Why != nil {
		all[messages.Run] = e.Before.Why
	}
	if e.Sshd != nil && e.Sshd.WhyNot != nil {
		all[messages.NotIn] = e.Sshd.WhyNot
	}
	return all
}

// handedOver is a machine that can be handed over to another process.
type handedOver interface{ HandOver() (helper.Handed, error) }

// handOver returns what was opened as a file for the front.
func (p *process) handOver(entered *keeper.Entered, told *messages.Entered, one *entrance) (*os.File, error) {
	if sshd := entered.Entrance.Sshd; sshd != nil {
		told.Sshd = &messages.Sshd{Host: sshd.Host, Key: sshd.Key.PublicKey().Marshal(), Patience: sshd.Patience, HasWhy: sshd.WhyNot != nil}
		for _, key := range sshd.HostKeys {
			told.Sshd.HostKeys = append(told.Sshd.HostKeys, key.Marshal())
		}
		one.signer, one.leave = sshd.Key, func() {}
		return fileOf(sshd.Conn)
	}
	opened := entered.Entrance.Machine
	one.leave = func() { opened.Close() }
	machine, ok := opened.(handedOver)
	if !ok {
		return nil, errors.New("this host cannot be handed over")
	}
	handed, err := machine.HandOver()
	told.Machine = &messages.Machine{Version: handed.Version, Helper: handed.Helper}
	return handed.File, err
}

// fileOf returns a connection as a file to give away. If the connection is no socket,
// the file is one, whose bytes are copied to and from the connection until either
// side ends.
func fileOf(conn net.Conn) (*os.File, error) {
	if own, ok := conn.(interface{ File() (*os.File, error) }); ok {
		defer conn.Close()
		return own.File()
	}
	ours, theirs, err := helper.StreamPair()
	if err != nil {
		conn.Close()
		return nil, err
	}
	go helper.Join(ours, conn)
	return theirs, nil
}

func (p *process) leave(_ context.Context, number uint64) (nothing, error) {
	p.entrances.left(number)
	return nothing{}, nil
}

// why answers a question about an entrance; "" if nothing is known.
func (p *process) why(ctx context.Context, q messages.Question) (string, error) {
	question := p.entrances.question(q)
	if question == nil {
		return "", nil
	}
	return question(ctx), nil
}
