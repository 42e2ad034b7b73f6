package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
)

// ErrNotRunning says that no gateway answers at a socket.
var ErrNotRunning = errors.New("no gateway is running here")

// Call asks the gateway at a socket to do something, and waits for the answer or
// the end of ctx. args may be nil; result, if it is not, is filled in, also where
// the error is the gateway's.
func Call(ctx context.Context, socket, verb string, args, result any) error {
	response, err := ask(ctx, socket, verb, args)
	if isUnread(err) { // the gateway ended: another one may be there, or none
		response, err = ask(ctx, socket, verb, args)
	}
	if err != nil {
		return err
	}
	if result != nil && response.Result != nil {
		if err := json.Unmarshal(response.Result, result); err != nil {
			return fmt.Errorf("the gateway's answer: %w", err)
		}
	}
	if response.Error != "" {
		return errors.New(response.Error)
	}
	return nil
}

// CallAll asks every gateway of a state directory to do something: first the one that
// accepts connections, then former ones that still have some. If some fail, it returns
// their errors and the answers of the others. The error is [ErrNotRunning] if there is no
// gateway at all.
func CallAll[Result any](ctx context.Context, stateDir, verb string, args any) ([]Result, error) {
	var results []Result
	var errs []error
	for _, socket := range Sockets(stateDir) {
		var result Result
		err := Call(ctx, socket, verb, args, &result)
		switch {
		case err == nil:
			results = append(results, result)
		case !errors.Is(err, ErrNotRunning):
			errs = append(errs, err)
		}
	}
	if results == nil && errs == nil {
		return nil, fmt.Errorf("%w: nothing answers at %s", ErrNotRunning, SocketIn(stateDir))
	}
	return results, errors.Join(errs...)
}

// isUnread reports whether a request was not read: its connection was closed before that.
func isUnread(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func ask(ctx context.Context, socket, verb string, args any) (response Response, err error) {
	request := Request{Verb: verb}
	if args != nil {
		if request.Args, err = json.Marshal(args); err != nil {
			return response, err
		}
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return response, fmt.Errorf("%w: nothing answers at %s", ErrNotRunning, socket)
	}
	if err != nil {
		return response, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return response, err
	}
	err = json.NewDecoder(io.LimitReader(conn, maxResponse)).Decode(&response)
	if errors.Is(err, io.EOF) {
		return response, errors.New("the gateway gave no answer; is this its account?")
	}
	return response, errors.Join(context.Cause(ctx), err)
}
