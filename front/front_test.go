package front

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/front/messages"
	"github.com/berth-ssh/berth/gateway"
)

// The attack: somebody opens thousands of connections, whose client says much of itself,
// and nobody can list or end them, since they find room in no message. All are told, in
// several, also where the clock was set back.
func TestThousandsOfConnectionsAreTold(t *testing.T) {
	const largest = 4 << 20 // of a message
	var all []gateway.Live
	began := time.Now()
	for i := range 2500 {
		since := began.Add(time.Duration(i/2) * time.Second)
		if i > 1200 {
			since = since.Add(-time.Hour)
		}
		all = append(all, gateway.Live{
			ID: fmt.Sprintf("%08d", i), Identity: auth.Identity{User: "dev", Groups: make([]string, 1000)}, Since: since,
			ClientVersion: strings.Repeat("\xff", 255), Host: strings.Repeat("h", 64), Container: strings.Repeat("c", 64),
		})
	}
	told := map[string]int{}
	var after messages.LiveAfter
	for {
		text, err := json.Marshal(liveOf(slices.Clone(all), after))
		if err != nil || len(text) > largest {
			t.Fatalf("%v, a message of %d bytes", err, len(text))
		}
		var page []messages.LiveConn
		if err := json.Unmarshal(text, &page); err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, live := range page {
			told[live.User+live.ID]++
		}
		after = messages.After(page[len(page)-1].Live)
	}
	for _, live := range all {
		if times := told["dev"+live.ID]; times != 1 {
			t.Fatalf("%s is told %d times", live.ID, times)
		}
	}
	if all := worst(make([]messages.Penalty, 1<<16)); len(all) != messages.MaxPenalties {
		t.Errorf("%d penalties", len(all))
	}
}
