// Gpus is a device plugin that offers GPUs that are not there: gpus NODE COUNT. What
// the scheduler counts and what a container is told is real, and no device is.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	resource = "nvidia.com/gpu"
	socket   = "berth-gpus.sock"
)

type plugin struct {
	api.UnimplementedDevicePluginServer
	devices []*api.Device
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("use: gpus NODE COUNT")
	}
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	p := &plugin{}
	for i := range count {
		p.devices = append(p.devices, &api.Device{ID: fmt.Sprintf("GPU-%s-%d", os.Args[1], i), Health: api.Healthy})
	}
	if err := p.serve(); err != nil {
		log.Fatal(err)
	}
}

// serve registers at the kubelet, and answers it until it ends.
func (p *plugin) serve() error {
	path := filepath.Join(api.DevicePluginPath, socket)
	os.Remove(path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, p)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	kubelet, err := grpc.NewClient("unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer kubelet.Close()
	request := &api.RegisterRequest{Version: api.Version, Endpoint: socket, ResourceName: resource}
	if _, err := api.NewRegistrationClient(kubelet).Register(context.Background(), request); err != nil {
		return err
	}
	return <-served
}

func (p *plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (p *plugin) ListAndWatch(_ *api.Empty, to api.DevicePlugin_ListAndWatchServer) error {
	if err := to.Send(&api.ListAndWatchResponse{Devices: p.devices}); err != nil {
		return err
	}
	<-to.Context().Done()
	return nil
}

// Allocate tells a container its GPUs as NVIDIA's plugin does.
func (p *plugin) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	all := &api.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		all.ContainerResponses = append(all.ContainerResponses, &api.ContainerAllocateResponse{
			Envs: map[string]string{"NVIDIA_VISIBLE_DEVICES": strings.Join(container.DevicesIds, ",")},
		})
	}
	return all, nil
}
