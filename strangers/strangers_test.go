package strangers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func address(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }

// door is a door whose strangers are noted when they lose their place.
type door struct {
	*Door
	t       *testing.T
	evicted chan *Stranger
}

func newDoor(t *testing.T, exempt ...netip.Prefix) *door {
	return &door{New(exempt), t, make(chan *Stranger, 1000)}
}

func (d *door) enter(ip string) *Stranger {
	d.t.Helper()
	entered := make(chan *Stranger, 1)
	s, err := d.Enter(address(ip), func(error) { d.evicted <- <-entered })
	if err != nil {
		d.t.Fatal(err)
	}
	entered <- s
	return s
}

// lost is who has lost its place since it was last asked.
func (d *door) lost() []*Stranger {
	synctest.Wait()
	var all []*Stranger
	for len(d.evicted) > 0 {
		all = append(all, <-d.evicted)
	}
	return all
}

// The attack: one source holds all places that it may have, so that a neighbour
// behind the same NAT has none.
func TestNeighboursOfAnAttackerGetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		for range maxStrangersPerSource {
			d.enter("192.0.2.1")
		}
		time.Sleep(2 * idleAfter)
		elsewhere, neighbour := d.enter("192.0.2.2"), d.enter("192.0.2.1")
		for range 20 {
			d.enter("192.0.2.1")
		}
		lost := d.lost()
		if len(lost) != 21 || slices.Contains(lost, neighbour) || slices.Contains(lost, elsewhere) {
			t.Errorf("%d have lost their place, the neighbour among them: %v", len(lost), slices.Contains(lost, neighbour))
		}
	})
}

// The attack: strangers of many sources hold all places.
func TestManySourcesKeepNoNewOneOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		for i := range 300 {
			d.enter(fmt.Sprintf("10.0.0.%d", i%6))
		}
		if inside, sources := d.Inside(); inside != maxStrangers || sources != 6 {
			t.Errorf("%d strangers of %d sources", inside, sources)
		}
		d.lost()
		modest := d.enter("192.0.2.1")
		time.Sleep(2 * idleAfter)
		for i := range 600 {
			d.enter(fmt.Sprintf("10.0.0.%d", i%6))
		}
		if slices.Contains(d.lost(), modest) {
			t.Error("the only stranger of a source lost its place to those who have many")
		}
	})
}

// Who has failed, and who only waits, loses its place before who is logging in.
func TestWhoFailedLosesItsPlaceFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		var good, waiting, failed []*Stranger
		for i := range maxStrangersPerSource {
			s := d.enter("192.0.2.1")
			switch {
			case i < 20:
				s.Failed("dev", FailedPassword)
				failed = append(failed, s)
			case i < 40:
				waiting = append(waiting, s)
			default:
				s.Exchanged()
				good = append(good, s)
			}
		}
		time.Sleep(2 * idleAfter)
		among := func(all []*Stranger) (n int) {
			for _, s := range d.lost() {
				if slices.Contains(all, s) {
					n++
				}
			}
			return n
		}
		for _, tt := range []struct {
			what string
			who  []*Stranger
		}{{"failed", failed}, {"waiting", waiting}} {
			for range tt.who {
				d.enter("192.0.2.1")
			}
			if n := among(tt.who); n != len(tt.who) {
				t.Errorf("%d of %d %s", n, len(tt.who), tt.what)
			}
		}
		for range 100 { // strangers who have exchanged no keys, however new, lose theirs
			d.enter("192.0.2.1")
		}
		if n := among(good); n != 0 {
			t.Errorf("%d who were logging in", n)
		}
		good[0].Leave()
		good[0].Leave()
		d.enter("192.0.2.1")
		if lost := d.lost(); len(lost) != 0 {
			t.Errorf("a place that came free is not given again: %d lost theirs", len(lost))
		}
	})
}

// The attack: connections that say nothing, each renewed when it loses its place, from
// an address that somebody logs in from, too.
func TestWhoSaysNothingLosesItsPlaceBeforeWhoLogsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		one := d.enter("192.0.2.1")
		one.Heard()
		for range 10 * maxStrangersPerSource {
			d.enter("192.0.2.1")
		}
		if slices.Contains(d.lost(), one) {
			t.Error("who logs in has lost its place")
		}
		time.Sleep(2 * idleAfter)
		for range maxStrangersPerSource {
			d.enter("192.0.2.1")
		}
		if !slices.Contains(d.lost(), one) {
			t.Error("who has begun and says nothing more keeps its place for ever")
		}
	})
}

// The same attack: a client whose version line is on its way has as long as half of
// the others had their places.
func TestWhoIsNewHasTimeToSaySomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		come := func() *Stranger {
			time.Sleep(time.Millisecond)
			return d.enter("192.0.2.1")
		}
		for range maxStrangersPerSource {
			come()
		}
		for range 20 {
			one := come()
			for range maxStrangersPerSource / 4 {
				come()
			}
			if slices.Contains(d.lost(), one) {
				t.Fatal("the newest has lost its place to those that came at once after it")
			}
		}
	})
}

func TestAnExemptNetworkIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, netip.MustParsePrefix("10.0.0.0/8"))
		var last *Stranger
		for range 2 * maxStrangersPerSource {
			last = d.enter("10.1.2.3")
		}
		for range 1000 {
			last.Failed("dev", FailedPassword)
		}
		began := time.Now()
		if err := last.Pace(t.Context(), "dev"); err != nil || time.Since(began) > 0 || len(d.lost()) > 0 || len(d.Penalties()) > 0 {
			t.Errorf("%v after %v, penalties %v", err, time.Since(began), d.Penalties())
		}
	})
}

// A subscriber has a whole IPv6 network to come from.
func TestAnIPv6SourceIsItsNetwork(t *testing.T) {
	if sourceOf(address("2001:db8::1")) != sourceOf(address("2001:db8::2")) {
		t.Error("two addresses of a /64 are two sources")
	}
	if sourceOf(address("2001:db8::1")) == sourceOf(address("2001:db8:0:1::1")) {
		t.Error("two networks are one source")
	}
	if sourceOf(address("::ffff:192.0.2.1")) != sourceOf(address("192.0.2.1")) {
		t.Error("an IPv4 address written as IPv6 is another source")
	}
}

func TestAShutDoorSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		var all []*Stranger
		for range 5 {
			all = append(all, d.enter("192.0.2.1"))
			time.Sleep(time.Second)
		}
		if n := d.Shed(errors.New("why")); n != 3 {
			t.Errorf("%d are sent away", n)
		}
		for _, s := range d.lost() {
			if slices.Index(all, s) < 2 {
				t.Error("an older one is sent away before a newer one")
			}
		}
		d.Shut(true)
		if _, err := d.Enter(address("192.0.2.1"), nil); !errors.Is(err, ErrShut) {
			t.Errorf("shut: %v", err)
		}
		d.Shut(false)
		d.enter("192.0.2.1")
	})
}

// Wrong passwords slow down their user at their source, then their source; others
// and the same user elsewhere they do not. It fades, and nobody is locked out.
func TestPenaltiesGrowAndFade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		attacker, elsewhere := d.enter("192.0.2.1"), d.enter("192.0.2.2")
		rate := func(s *Stranger, user string, fails bool) float64 { // in a minute
			tried := 0.0
			for end := time.Now().Add(time.Minute); time.Now().Before(end); tried++ {
				if err := s.Pace(t.Context(), user); err != nil {
					t.Fatal(err)
				}
				if fails {
					s.Failed(user, FailedPassword)
				}
				time.Sleep(40 * time.Millisecond) // a hash
			}
			return tried
		}
		if tried := rate(attacker, "dev", true); tried < 20 || tried > 40 {
			t.Errorf("%.0f passwords of one user in a minute", tried)
		}
		if tried := rate(attacker, "dev", true); tried > 21 {
			t.Errorf("%.0f in the next one", tried)
		}
		if tried := rate(elsewhere, "dev", false); tried < 1400 {
			t.Errorf("%.0f of the same user elsewhere", tried)
		}
		for i := range 400 {
			attacker.Failed(fmt.Sprint("user", i), FailedPassword)
		}
		if tried := rate(attacker, "bob", false); tried < 230 || tried > 245 {
			t.Errorf("%.0f passwords of other users at the source in a minute", tried)
		}
		if p := d.Penalties(); len(p) != 1 || p[0].Source != sourceOf(address("192.0.2.1")) || p[0].Gap != bySource.longest || p[0].Failures < 300 {
			t.Errorf("penalties: %+v", p)
		}
		time.Sleep(time.Hour)
		if p := d.Penalties(); len(p) != 0 {
			t.Errorf("after an hour: %+v", p)
		}
		if tried := rate(attacker, "dev", false); tried < 1400 {
			t.Errorf("%.0f after an hour", tried)
		}
	})
}

// Many at once get no more than one after the other, and who would wait for long
// is told so.
func TestParallelPasswordsWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		attacker := d.enter("192.0.2.1")
		for range 100 {
			attacker.Failed("dev", FailedPassword)
		}
		tried, told := make(chan bool, 100), make(chan error, 100)
		for range 100 {
			go func() {
				if err := attacker.Pace(t.Context(), "dev"); err != nil {
					told <- err
					return
				}
				tried <- true
			}()
		}
		time.Sleep(time.Minute)
		if len(tried) != 3 || len(told) != 97 { // at 0, 3 and 6 s
			t.Errorf("%d are tried, %d are told", len(tried), len(told))
		}
		var tooOften *TooOften
		if err := <-told; !errors.As(err, &tooOften) || !strings.HasSuffix(err.Error(), "wait 9 s, or use a key") {
			t.Errorf("told: %v", err)
		}
		attacker.Succeeded("dev")
		began := time.Now()
		if err := attacker.Pace(t.Context(), "dev"); err != nil || time.Since(began) > 0 {
			t.Errorf("after a success: %v, %v", err, time.Since(began))
		}
	})
}

func TestWhatIsCountedIsBounded(t *testing.T) {
	var counts map[int]*count
	for i := range 3 * maxCounted {
		add(&counts, i, 1)
	}
	if len(counts) > maxCounted {
		t.Errorf("%d", len(counts))
	}
	if before, after := add(&counts, 3*maxCounted-1, 1); math.Round(before) != 1 || math.Round(after) != 2 {
		t.Errorf("the last one: %v, %v", before, after)
	}
}

// One processor, a hundred hashes of one source in the queue: a newcomer is next.
// So is a key exchange of the same source, and another user of it.
func TestTurnsGoToWhoHasHadLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := &turns{free: 1}
		flood, other := sourceOf(address("192.0.2.1")), sourceOf(address("192.0.2.2"))
		served := make(chan string, 1000)
		ask := func(source Source, flow, name string, takes time.Duration) {
			go func() {
				done, err := queue.take(t.Context(), source, flow)
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(takes)
				served <- name
				done()
			}()
			synctest.Wait()
		}
		for range 100 {
			ask(flood, "dev", "flood", 45*time.Millisecond)
		}
		time.Sleep(time.Second)
		ask(flood, "bob", "neighbour", 45*time.Millisecond)
		ask(flood, "", "exchange", time.Millisecond)
		ask(other, "dev", "newcomer", 45*time.Millisecond)
		for len(served) > 0 {
			<-served
		}
		time.Sleep(200 * time.Millisecond)
		var order []string
		for len(served) > 0 {
			order = append(order, <-served)
		}
		if got, want := strings.Join(order[:4], " "), "flood newcomer neighbour exchange"; got != want {
			t.Errorf("served: %s", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		queue.mu.Lock()
		defer queue.mu.Unlock()
		if len(queue.flows) != 0 || len(queue.waiting) != 0 || queue.free != 1 {
			t.Errorf("left: %+v", queue)
		}
	})
}

// Sources that ask without end have equal shares of the time, however long each
// turn of theirs is.
func TestTurnsAreSharedByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := &turns{free: 1}
		ctx, stop := context.WithCancel(t.Context())
		used := make([]time.Duration, 3)
		for i := range used {
			for range 5 {
				go func() {
					for ctx.Err() == nil {
						done, err := queue.take(ctx, sourceOf(address(fmt.Sprintf("192.0.2.%d", i))), "")
						if err != nil {
							return
						}
						takes := time.Duration(1+10*i) * time.Millisecond
						time.Sleep(takes)
						used[i] += takes
						done()
					}
				}()
			}
		}
		time.Sleep(time.Minute)
		stop()
		time.Sleep(time.Second)
		synctest.Wait()
		for _, had := range used {
			if had < 19*time.Second || had > 21*time.Second {
				t.Errorf("shares of a minute: %v", used)
			}
		}
	})
}

func TestWhoGoesAwayWaitsForNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := &turns{free: 1}
		source := sourceOf(address("192.0.2.1"))
		done, err := queue.take(t.Context(), source, "")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := queue.take(ctx, source, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		done()
		done()
		again, err := queue.take(t.Context(), source, "")
		if err != nil || queue.free != 0 {
			t.Errorf("%v, %d free", err, queue.free)
		}
		again()
	})
}
