package fronts

import (
	"testing"

	"github.com/berth-ssh/berth/front/messages"
)

// BenchmarkKey is what it takes to ask whether a key is a step of a login, both ends in
// one process.
func BenchmarkKey(b *testing.B) {
	a := takeOver(b)
	for b.Loop() {
		a.proves(b, "dev", a.dev, true)
	}
}

// BenchmarkWays is what the least call takes.
func BenchmarkWays(b *testing.B) {
	a := takeOver(b)
	for b.Loop() {
		if _, err := a.Call(b.Context(), messages.LoginMethods, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}
