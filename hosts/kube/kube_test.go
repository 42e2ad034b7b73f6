package kube

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/state"
	"github.com/berth-ssh/berth/test/harness"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pod is one whose only container is in a state.
func pod(namespace, name string, state corev1.ContainerState) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{labels.Host: "master"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}, {Name: "other"}}},
	}
	status := corev1.ContainerStatus{Name: "main", State: state}
	if state.Waiting == nil {
		status.ContainerID = "containerd://id-" + name
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{status}
	return p
}

func running() corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
}

func terminated(reason string, code int32) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code}}
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func TestWhyAPodCannotBeEntered(t *testing.T) {
	evicted := pod("a", "p", terminated("Error", 137))
	evicted.Status.Phase, evicted.Status.Reason, evicted.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
	unscheduled := pod("a", "p", waiting("", ""))
	unscheduled.Status.ContainerStatuses = nil
	unscheduled.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "2 Insufficient nvidia.com/gpu\x1b[31m."}}
	again := pod("a", "p", waiting("CrashLoopBackOff", "back-off"))
	again.Status.ContainerStatuses[0].LastTerminationState = terminated("OOMKilled", 137)
	misnamed := pod("a", "p", running())
	misnamed.Annotations = map[string]string{labels.Container: "none"}
	for what, want := range map[*corev1.Pod]struct {
		why     string
		returns bool
	}{
		evicted:     {"was ended: Evicted: The node was low on resource: memory.", true},
		unscheduled: {"waits for a node: 2 Insufficient nvidia.com/gpu?[31m.", false},
		again:       {"is restarting, again and again: it was killed at its limit of memory", true},
		misnamed:    {"has no container none, which its annotation names", false},
		pod("a", "p", waiting("ErrImagePull", "not found")): {"cannot start: ErrImagePull: not found", false},
		pod("a", "p", waiting("ContainerCreating", "")):     {"is starting", true},
		pod("a", "p", terminated("Completed", 3)):           {"is not running: its command ended with code 3", true},
	} {
		if f := foundIn(what); f.running || f.why != want.why || f.returns != want.returns {
			t.Errorf("running %v, %q, returns %v; want %q, %v", f.running, f.why, f.returns, want.why, want.returns)
		}
	}
}

// newSource is a source that was told of pods.
func newSource(t *testing.T, pods ...*corev1.Pod) *Source {
	t.Helper()
	st, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	s := &Source{cluster: "lab", state: st, log: slog.New(slog.DiscardHandler), known: newKnown(), synced: make(chan struct{})}
	close(s.synced)
	for _, p := range pods {
		f := foundIn(p)
		s.known.remember(f)
		s.changed(f.host)
	}
	return s
}

// deleting is a pod that has been deleted and has its grace period left.
func deleting(p *corev1.Pod) *corev1.Pod {
	p.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(time.Hour)}
	return p
}

func TestWhatWasEnteredEndsWithItsContainerAndSaysWhy(t *testing.T) {
	p := pod("team-a", "master-0", running())
	restarted := p.DeepCopy()
	restarted.Status.ContainerStatuses[0].ContainerID = "containerd://second"
	restarted.Status.ContainerStatuses[0].LastTerminationState = terminated("OOMKilled", 137)
	deleted := deleting(pod("team-a", "master-0", terminated("Error", 137)))
	evicted := deleting(pod("team-a", "master-0", running()))
	evicted.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI"}}
	for what, happens := range map[string]func(*Source){
		"is gone: its pod team-a/master-0 was deleted":                                func(s *Source) { s.known.forget("uid-master-0") },
		"is not running: its command ended with code 1":                               func(s *Source) { s.known.remember(foundIn(pod("team-a", "master-0", terminated("Error", 1)))) },
		"was restarted: it was killed at its limit of memory":                         func(s *Source) { s.known.remember(foundIn(restarted)) },
		"is gone: its pod team-a/master-0 was deleted ":                               func(s *Source) { s.known.replace("team-a", nil) },
		"is ending: its pod team-a/master-0 was deleted":                              func(s *Source) { s.known.remember(foundIn(deleted)) },
		"is ending: its pod team-a/master-0 was evicted, as when its node is drained": func(s *Source) { s.known.remember(foundIn(evicted)) },
	} {
		s := newSource(t, p)
		life, err := s.known.enter(foundIn(p))
		if err != nil {
			t.Fatal(err)
		}
		happens(s)
		if why := context.Cause(life); why == nil || why.Error() != strings.TrimSpace(what) {
			t.Errorf("got %v, want %s", why, what)
		}
		if _, err := s.known.enter(foundIn(p)); err == nil {
			t.Errorf("%s: it is entered after that", what)
		}
	}
}

// A connection can end without its pod, and before anybody has seen that its node does not
// answer.
func TestAConnectionThatEndsAloneSaysWhetherItsNodeIsLost(t *testing.T) {
	t.Parallel() // each waits for the cluster's word
	for _, lost := range []bool{false, true} {
		p := pod("team-a", "master-0", running())
		s, want := newSource(t, p), "cannot be reached: the connection through its cluster's API server ended"
		life, err := s.known.enter(foundIn(p))
		if err != nil {
			t.Fatal(err)
		}
		if lost {
			p.Spec.NodeName, want = "node1", "cannot be reached: its node node1 does not answer"
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}, {Type: corev1.ContainersReady, Status: corev1.ConditionTrue}}
			s.known.remember(foundIn(p))
		}
		if why := s.whyLost(life, foundIn(p)); why != want {
			t.Errorf("got %q, want %q", why, want)
		}
	}
}

func TestALoginGetsThePodThatStays(t *testing.T) {
	old := deleting(pod("team-a", "old", running()))
	s := newSource(t, old, pod("team-a", "new", waiting("ContainerCreating", "")))
	host, err := s.Lookup(t.Context(), "master")
	if err != nil || host.Container != "uid-new" {
		t.Errorf("%+v, %v", host, err)
	}
	_, err = s.Open(t.Context(), host, "")
	if why := hosts.AsUnreachable(err); why == nil || why.Why != "is starting" || why.Patience != untilWaited {
		t.Errorf("%v", err)
	}
	if coming, known := s.ComingBack("master"); !coming || !known {
		t.Error("it is not awaited")
	}
	s = newSource(t, pod("team-a", "a", running()), pod("team-a", "b", running()))
	if _, err := s.Lookup(t.Context(), "master"); err == nil || !strings.Contains(err.Error(), "pods team-a/a and team-a/b both carry its label") {
		t.Errorf("two: %v", err)
	}
}

// The attack: somebody who may make pods in another namespace takes a name there, and
// gets who is granted it.
func TestANameStaysWithItsNamespace(t *testing.T) {
	s := newSource(t, pod("team-a", "a", running()))
	s.known.remember(foundIn(pod("evil", "b", running())))
	s.changed("master")
	if host, err := s.Lookup(t.Context(), "master"); err != nil || host.Container != "id-a" {
		t.Errorf("beside: %+v, %v", host, err)
	}
	s.known.forget("uid-a")
	if host, err := s.Lookup(t.Context(), "master"); err == nil || !strings.Contains(err.Error(), "its name belongs to namespace team-a of cluster lab") {
		t.Errorf("after: %+v, %v", host, err)
	}
}

// The attack: somebody's name is that of a part of the cluster, which may do anything.
func TestNobodyEntersAsAPartOfTheCluster(t *testing.T) {
	for names, person := range map[string]string{"{user}": "system:admin", "system:{user}": "admin", "sys{user}": "tem:admin", "lab:{user}": ""} {
		s := newSource(t, pod("team-a", "a", running()))
		s.names = names
		host, err := s.Lookup(t.Context(), "master")
		if err != nil {
			t.Fatal(err)
		}
		host.Person = person
		if _, err := s.Open(t.Context(), host, ""); err == nil || !strings.Contains(err.Error(), "is no person of cluster lab") {
			t.Errorf("%s by %s: %v", person, names, err)
		}
	}
}

func TestASilentClusterIsSaidToBe(t *testing.T) {
	s := newSource(t)
	s.known.setSilent("team-a", context.DeadlineExceeded)
	_, err := s.Lookup(t.Context(), "master")
	if !hosts.IsSilent(err) || !strings.Contains(err.Error(), "cluster lab does not answer since ") {
		t.Errorf("%v", err)
	}
	s.known.setSilent("team-a", nil)
	if _, err = s.Lookup(t.Context(), "master"); !hosts.IsUnknown(err) {
		t.Errorf("%v", err)
	}
	s.known.setSilent("team-a", apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", nil)) // as where the namespace went, with the role in it
	if _, err = s.Lookup(t.Context(), "master"); !hosts.IsSilent(err) || !strings.Contains(err.Error(), "cluster lab refuses the gateway since ") {
		t.Errorf("%v", err)
	}
}

// forbidding is an API server that has one pod, and forbids some requests: what it says names
// who asks.
type forbidding struct {
	pod     *corev1.Pod
	forbids func(*http.Request) bool
}

const asked = `User "system:serviceaccount:infra:berth" cannot `

func (f forbidding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if f.forbids(r) {
		status := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New(asked+"do it")).Status()
		status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		w.WriteHeader(http.StatusForbidden)
		json.NewEncoder(w).Encode(status)
		return
	}
	of := metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}
	f.pod.TypeMeta = of
	all := corev1.Pod{TypeMeta: of, ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}}
	json.NewEncoder(w).Encode(map[string]any{"type": "ADDED", "object": f.pod})
	json.NewEncoder(w).Encode(map[string]any{"type": "BOOKMARK", "object": all})
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// A role that was taken away, or a token that is over, is no silence. What the API server says
// of it names the gateway's account: the log has that, and people do not.
func TestAClusterThatRefusesTheGatewaySaysSo(t *testing.T) {
	for what, forbids := range map[string]func(*http.Request) bool{
		"cannot be looked up": func(*http.Request) bool { return true },
		"cannot be entered":   func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/exec") },
	} {
		t.Run(what, func(t *testing.T) {
			server := httptest.NewServer(forbidding{pod("team-a", "master-0", running()), forbids})
			t.Cleanup(server.Close)
			config := filepath.Join(t.TempDir(), "config")
			harness.Write(t, config, 0o600, `{"clusters": [{"name": "c", "cluster": {"server": "`+server.URL+`"}}], "contexts": [{"name": "c", "context": {"cluster": "c"}}], "current-context": "c"}`)
			s := runSource(t, hosts.Cluster{Name: "lab", Kubeconfig: config, Namespaces: []string{"team-a"}})
			host, err := s.Lookup(t.Context(), "master")
			if err == nil {
				_, err = s.Open(t.Context(), host, "")
			}
			why := hosts.AsUnreachable(err)
			if why == nil || !strings.HasPrefix(why.Why, what+": cluster lab refuses the gateway") || why.Cause == nil || !strings.Contains(why.Cause.Error(), asked) {
				t.Errorf("got %v, by %v", err, errors.Unwrap(err))
			}
		})
	}
}

// A pod whose node is gone stays for ever where nobody deletes it by force.
func TestAPodThatDoesNotEndIsNotWaitedFor(t *testing.T) {
	for ago, patient := range map[time.Duration]bool{0: true, time.Hour: false} {
		p := pod("team-a", "master-0", running())
		p.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(-ago)}
		s := newSource(t, p)
		host, err := s.Lookup(t.Context(), "master")
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Open(t.Context(), host, "")
		why := hosts.AsUnreachable(err)
		if why == nil || (why.Patience > 0) != patient || strings.Contains(why.Why, "has not ended it since ") == patient {
			t.Errorf("%v ago: %+v", ago, why)
		}
	}
}

// A proxy that takes every connection is no sshd.
func TestAnAddressWhereNobodySpeaksIsNotReached(t *testing.T) {
	for _, greeting := range []string{"", "SSH-2.0-x\r\n"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan net.Conn, 1)
		go func() {
			conn, _ := listener.Accept()
			conn.Write([]byte(greeting))
			accepted <- conn
		}()
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		within := 20 * time.Millisecond
		if greeting != "" {
			within = harness.Patience
		}
		if h := newHeard(conn); h.speaks(within) != (greeting != "") {
			t.Errorf("%q: %v", greeting, greeting == "")
		}
		conn.Close()
		(<-accepted).Close()
		listener.Close()
	}
}

// runSource runs the source of a cluster until the test ends.
func runSource(t *testing.T, cluster hosts.Cluster) *Source {
	t.Helper()
	st, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Cluster: cluster, State: st, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ran
		s.Close()
	})
	return s
}
