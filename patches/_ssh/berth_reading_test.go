package ssh

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// numbered is a connection of packets that are numbered from 0.
type numbered struct {
	keyingTransport              // nil: nothing else is asked of it
	packets         atomic.Int64 // then it has ended
	read            atomic.Int64
	reads           sync.Mutex // held while one reads
	pause           func()     // in each read; nil for none
}

var errTwoRead = errors.New("two read at once")

func (n *numbered) readPacket() ([]byte, error) {
	if !n.reads.TryLock() {
		return nil, errTwoRead
	}
	defer n.reads.Unlock()
	if n.pause != nil {
		n.pause()
	}
	number := n.read.Add(1) - 1
	if number >= n.packets.Load() {
		return nil, io.EOF
	}
	return numberedPacket(number), nil
}

func numberedPacket(number int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{msgGlobalRequest}, uint64(number))
}

func numberOf(packet []byte) int64 { return int64(binary.BigEndian.Uint64(packet[1:])) }

// afterLogin is a transport with so many packets, whose loop may read by itself, and does
// not yet.
func afterLogin(conn *numbered, packets int64) *handshakeTransport {
	conn.packets.Store(packets)
	t := newHandshakeTransport(conn, &Config{}, nil, nil)
	t.reading.loops = true
	return t
}

// awaitBerth waits until something is so.
func awaitBerth(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

// TestBerthHandedBeforeRead: a packet that is handed to the loop just when that looks
// whether it is to read by itself comes before those that it reads.
func TestBerthHandedBeforeRead(t *testing.T) {
	h := afterLogin(new(numbered), 2)
	handed, _ := h.conn.readPacket()
	h.reading.Lock()
	got := make(chan []byte)
	go func() {
		for packet, err := h.readForLoop(); err == nil; packet, err = h.readForLoop() {
			got <- packet
		}
		close(got)
	}()
	awaitBerth(t, func() bool { // the loop waits for the lock
		stacks := make([]byte, 1<<20)
		for _, stack := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(stack, "readOrTake") && strings.Contains(stack, "Mutex).Lock") {
				return true
			}
		}
		return false
	})
	h.incoming <- handed
	h.reading.alone = true
	h.reading.Unlock()
	var numbers []int64
	for packet := range got {
		numbers = append(numbers, numberOf(packet))
	}
	if len(numbers) != 2 || numbers[0] != 0 || numbers[1] != 1 {
		t.Errorf("packets come in the order %v", numbers)
	}
}

// TestBerthOrder: whoever reads while keys are exchanged again and again, one reads at a
// time, and each packet comes to the loop in its turn, also where the loop waits for the
// end of an exchange that many packets come before.
func TestBerthOrder(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for round := range rounds() {
		runtime.GOMAXPROCS(1 + round%4)
		if err := numberedRound(uint64(round), 2000); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	nobodyReads(t)
}

// rounds is how often what depends on chance is tried.
func rounds() int {
	if os.Getenv("BERTH_SOAK") != "" {
		return 2000
	}
	return 20
}

// nobodyReads waits until nobody reads any more.
func nobodyReads(t *testing.T) {
	t.Helper()
	awaitBerth(t, func() bool {
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "readAside")
	})
}

// numberedRound reads packets to their end. Who takes part pauses by chance, from a seed.
func numberedRound(seed uint64, packets int64) error {
	chance := func(part uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, part)) }
	random, pauses := chance(0), chance(1)
	conn := &numbered{pause: func() { sometimes(pauses, 4) }}
	h := afterLogin(conn, packets)
	over := make(chan struct{})
	var exchanges sync.WaitGroup
	exchanges.Go(func() { exchangeAgain(h, conn, chance(2), over) })
	defer exchanges.Wait()
	defer close(over)
	go h.readAside()
	for want := int64(0); ; want++ {
		packet, err := h.readForLoop()
		switch {
		case err == io.EOF && want == packets:
			return nil
		case err != nil:
			return err
		case numberOf(packet) != want:
			return errors.New("packets come in another order")
		}
		sometimes(random, 4)
		if random.IntN(50) == 0 { // as one that answers may
			h.mu.Lock()
			for h.sentInitMsg != nil {
				h.writeCond.Wait()
			}
			h.mu.Unlock()
		}
	}
}

// exchangeAgain begins exchanges, each of which is over when some more packets were read.
func exchangeAgain(h *handshakeTransport, conn *numbered, random *rand.Rand, over <-chan struct{}) {
	for !isOver(over) {
		h.mu.Lock()
		h.sentInitMsg = new(kexInitMsg)
		h.exchangeBegins()
		h.mu.Unlock()
		for until := conn.read.Load() + random.Int64N(100); conn.read.Load() < min(until, conn.packets.Load()) && !isOver(over); {
			runtime.Gosched()
		}
		h.mu.Lock()
		h.sentInitMsg = nil
		h.reading.exchangeEnds()
		h.writeCond.Broadcast()
		h.mu.Unlock()
		for range random.IntN(20) {
			runtime.Gosched()
		}
	}
}

func isOver(over <-chan struct{}) bool {
	select {
	case <-over:
		return true
	default:
		return false
	}
}

// TestBerthLeave: a loop that leaves, whenever that is and whoever reads then, ends all
// that is read, also where some packets more had been received when the connection closed.
func TestBerthLeave(t *testing.T) {
	for round := range 5 * rounds() {
		random := rand.New(rand.NewPCG(uint64(round), 0))
		conn := new(numbered)
		h := afterLogin(conn, 1<<40)
		over := make(chan struct{})
		var exchanges sync.WaitGroup
		exchanges.Go(func() { exchangeAgain(h, conn, rand.New(rand.NewPCG(uint64(round), 1)), over) })
		go h.readAside()
		for range random.IntN(100) {
			if _, err := h.readForLoop(); err != nil {
				t.Fatal(err)
			}
		}
		conn.packets.Store(conn.read.Load() + random.Int64N(40))
		h.discard()
		close(over)
		exchanges.Wait()
	}
	nobodyReads(t)
}

// sometimes lets others run, once in so many times.
func sometimes(random *rand.Rand, times int) {
	if random.IntN(times) == 0 {
		runtime.Gosched()
	}
}

// TestBerthNobodyReadsForWhoHasLeft: when the loop has left and read by itself, an
// exchange that begins then starts nobody who reads: all that he would hand his packets
// to is closed.
func TestBerthNobodyReadsForWhoHasLeft(t *testing.T) {
	r := reading{loops: true, alone: true, busy: true}
	if !r.leave() {
		t.Fatal("somebody else reads")
	}
	r.exchanging = true
	if r.needsAnother() {
		t.Error("somebody is to read")
	}
}
