package apply

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/moby/moby/client"
)

func TestAStoreThatTakesNoImagesOfOursIsKnown(t *testing.T) {
	for status, want := range map[string]string{
		`[["Backing Filesystem","extfs"],["Supports d_type","true"]]`: "",
		`[["driver-type","io.containerd.snapshotter.v1"]]`:            "the engine keeps its images in containerd's store",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"DriverStatus":%s}`, status) }))
		defer server.Close()
		api, err := client.New(client.WithHost(strings.Replace(server.URL, "http", "tcp", 1)), client.WithAPIVersion("1.41"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := observeStore(t.Context(), api); got != want || err != nil {
			t.Errorf("%s: %q, %v", status, got, err)
		}
	}
}
