package kubernetes

import (
	"context"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// Exec runs the command that a request's address names, and carries its streams until it
// ends: by WebSocket, or by SPDY where the API server, or a proxy before it, knows no
// WebSocket. Its error is a CodeExitError where the command failed.
func Exec(ctx context.Context, config *rest.Config, command *url.URL, streams remotecommand.StreamOptions) error {
	byWebSocket, err := remotecommand.NewWebSocketExecutor(config, "GET", command.String())
	if err != nil {
		return err
	}
	bySPDY, err := remotecommand.NewSPDYExecutor(config, "POST", command)
	if err != nil {
		return err
	}
	either, err := remotecommand.NewFallbackExecutor(byWebSocket, bySPDY, KnowsNoWebSocket)
	if err != nil {
		return err
	}
	return either.StreamWithContext(ctx, streams)
}

// KnowsNoWebSocket reports whether an error says that a request has to go by SPDY.
func KnowsNoWebSocket(err error) bool {
	return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
}

// NodeIsSilent reports whether an error of [Exec] says that the API server does not reach
// the pod's node.
func NodeIsSilent(err error) bool {
	said := err.Error() // it has no type: the API server calls it an internal error
	return strings.Contains(said, "error dialing backend: ") || strings.Contains(said, "error sending request: ")
}

// Refuses reports whether an error says that the API server does not let the caller do
// what was asked: it does not know who that is any more, or no role of theirs allows it.
func Refuses(err error) bool {
	if apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) {
		return true
	}
	if err == nil {
		return false
	}
	said := err.Error() // by SPDY, it has no type
	return strings.Contains(said, " is forbidden: User ") || strings.HasSuffix(said, "unable to upgrade connection: Unauthorized")
}
