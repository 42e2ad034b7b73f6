package keysource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/berth-ssh/berth/auth"
)

// DefaultEvery is how often a source is asked unless something else is said.
const DefaultEvery = 15 * time.Minute

const (
	fetchTimeout = 15 * time.Second
	maxAnswer    = 256 << 10 // bytes
	maxKeys      = 500
	maxRedirects = 3
	atOnce       = 4 // sources that are asked at the same time

	// askedAgain is how soon a source may be asked again out of turn. One that
	// answers something else each time is not asked without end.
	askedAgain = 5 * time.Second
)

// Fetcher keeps a cache fresh. Its fields are set before Run and not changed.
type Fetcher struct {
	Cache Cache
	Every time.Duration // between two times that a source is asked; 0: DefaultEvery
	Log   *slog.Logger

	// Changed is told of the source whose keys have changed, after that is kept.
	Changed func(Source)

	mu      sync.Mutex
	wanted  []Source
	failing map[Source]bool
	asked   map[Source]time.Time
	poked   chan struct{}
	begin   sync.Once
}

func (f *Fetcher) poke() chan struct{} {
	f.begin.Do(func() {
		f.poked, f.failing, f.asked = make(chan struct{}, 1), map[Source]bool{}, map[Source]time.Time{}
	})
	return f.poked
}

// Want says which sources are asked from now on, and asks all of them soon.
func (f *Fetcher) Want(sources []Source) {
	poked := f.poke()
	f.mu.Lock()
	f.wanted = slices.Clone(sources)
	f.mu.Unlock()
	select {
	case poked <- struct{}{}:
	default: // it is about to ask
	}
}

// Run asks until ctx ends.
func (f *Fetcher) Run(ctx context.Context) {
	poked := f.poke()
	ticker := time.NewTicker(cmp.Or(f.Every, DefaultEvery))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-poked:
			f.fetchAll(ctx, askedAgain)
		case <-ticker.C:
			f.fetchAll(ctx, 0)
		}
	}
}

// fetchAll asks the sources that were not asked for so long.
func (f *Fetcher) fetchAll(ctx context.Context, since time.Duration) {
	var all errgroup.Group
	all.SetLimit(atOnce)
	for _, source := range f.due(since) {
		all.Go(func() error {
			f.refresh(ctx, source)
			return nil
		})
	}
	all.Wait()
}

func (f *Fetcher) due(since time.Duration) []Source {
	f.mu.Lock()
	defer f.mu.Unlock()
	var due []Source
	for _, source := range f.wanted {
		if time.Since(f.asked[source]) >= since {
			f.asked[source] = time.Now()
			due = append(due, source)
		}
	}
	return due
}

// refresh asks one source, and keeps what has changed.
func (f *Fetcher) refresh(ctx context.Context, source Source) {
	keys, err := fetch(ctx, source.URL)
	if ctx.Err() != nil {
		return
	}
	kept, keptErr := f.Cache.Keys(source)
	if err != nil {
		f.failed(source, kept, keptErr, err)
		return
	}
	f.answered(source)
	if keptErr == nil && slices.Equal(kept.Keys, keys) {
		return
	}
	if keptErr != nil && !errors.Is(keptErr, fs.ErrNotExist) {
		f.Log.Warn("fetched keys are kept anew", "source", source.Name, "err", keptErr)
	}
	if err := f.Cache.keep(source, keys, time.Now()); err != nil {
		f.Log.Error("fetched keys are not kept, and so do not count", "source", source.Name, "err", err)
		return
	}
	f.Log.Info("keys fetched", "source", source.Name, "keys", len(keys),
		"added", strings.Join(fingerprints(keys, kept.Keys), " "), "removed", strings.Join(fingerprints(kept.Keys, keys), " "))
	f.Changed(source)
}

// failed tells once of a source that does not answer.
func (f *Fetcher) failed(source Source, kept Kept, keptErr, err error) {
	f.mu.Lock()
	told := f.failing[source]
	f.failing[source] = true
	f.mu.Unlock()
	switch {
	case told:
	case keptErr == nil:
		f.Log.Warn("keys not fetched; those that are kept go on", "source", source.Name, "err", err, "keys", len(kept.Keys), "since", kept.Changed.UTC().Format(time.RFC3339))
	default:
		f.Log.Warn("keys not fetched, and none are kept", "source", source.Name, "err", err)
	}
}

func (f *Fetcher) answered(source Source) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failing[source] {
		f.Log.Info("keys can be fetched again", "source", source.Name)
	}
	delete(f.failing, source)
}

// fingerprints returns the fingerprints of those keys that are not in others.
func fingerprints(keys, others []string) []string {
	var all []string
	for _, line := range keys {
		if key, err := auth.ParseKey(line); err == nil && !slices.Contains(others, line) {
			all = append(all, ssh.FingerprintSHA256(key))
		}
	}
	return all
}

// fetch asks for the keys at an address. The error says that nobody knows.
func fetch(ctx context.Context, address string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if next.URL.Scheme != "https" || len(via) > maxRedirects {
			return errors.New("it leads elsewhere")
		}
		return nil
	}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return []string{}, nil
	default:
		return nil, fmt.Errorf("it answers %s", response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	return parse(string(text))
}

// parse reads the keys of an answer. Kinds of keys that are not taken here are left
// out; an answer that has no key in it, and is not empty, is something else.
func parse(text string) ([]string, error) {
	keys := []string{}
	isEmpty := true
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		isEmpty = false
		key, err := auth.ParseKey(line)
		if err != nil {
			continue
		}
		if line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))); !slices.Contains(keys, line) {
			keys = append(keys, line)
		}
	}
	if len(text) > maxAnswer || len(keys) > maxKeys || len(keys) == 0 && !isEmpty {
		return nil, errors.New("its answer is no list of keys")
	}
	slices.Sort(keys)
	return keys, nil
}
