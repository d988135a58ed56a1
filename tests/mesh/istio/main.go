// Istio's own control plane (bootstrap.NewServer) with a directory of manifests instead of a Kubernetes API server:
// routes, policies and endpoints are read from there, and read again when they change. Its certificate authority and
// the TLS port for agents are Istio's as well.
//
// Istio's main of 2026-08 dereferences a nil controller where there is no client of Kubernetes
// (pilot/pkg/serviceregistry/serviceentry/controller.go), so its own stand-in for one is put in before NewServer
// looks. That holds the Secrets of the directory named by -secrets, for gateways that ask by credentialName.
package main

import (
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"syscall"
	"time"
	"unsafe"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"istio.io/istio/pilot/pkg/bootstrap"
	"istio.io/istio/pkg/ctrlz"
	"istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/log"
)

func main() {
	config := flag.String("config", "", "directory of manifests, watched")
	secrets := flag.String("secrets", "", "directory of Secrets, read once")
	mesh := flag.String("mesh", "", "file of the mesh's configuration, watched")
	agents := flag.String("agents", "", "address for agents: certificates and configuration, over TLS")
	ready := flag.String("ready", "", "address for readiness and debugging")
	metrics := flag.String("metrics", "", "address for metrics")
	flag.Parse()
	client, err := standIn(*secrets)
	check(err)
	args := bootstrap.NewPilotArgs(func(p *bootstrap.PilotArgs) {
		p.Namespace = "istio-system"
		p.PodName = "istiod"
		p.MeshConfigFile = *mesh
		p.ShutdownDuration = time.Second
		p.CtrlZOptions = ctrlz.DefaultOptions()
		p.CtrlZOptions.Port = 0
		p.ServerOptions = bootstrap.DiscoveryServerOptions{
			HTTPAddr: *ready, SecureGRPCAddr: *agents, MonitoringAddr: *metrics,
		}
		p.RegistryOptions.FileDir = *config
		p.RegistryOptions.KubeOptions.DomainSuffix = "cluster.local"
		p.RegistryOptions.KubeOptions.ClusterID = "Kubernetes"
	})
	server, err := bootstrap.NewServer(args, func(s *bootstrap.Server) {
		field := reflect.ValueOf(s).Elem().FieldByName("kubeClient")
		reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().Set(reflect.ValueOf(client))
	})
	check(err)
	stop := make(chan struct{})
	check(server.Start(stop))
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
	close(stop)
	server.WaitUntilCompletion()
}

// standIn is a client of a Kubernetes that has some Secrets, which every gateway may ask for.
func standIn(directory string) (kube.CLIClient, error) {
	files, err := filepath.Glob(filepath.Join(directory, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var secrets []runtime.Object
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		secret := &corev1.Secret{}
		if err := yaml.UnmarshalStrict(text, secret); err != nil {
			return nil, err
		}
		secrets = append(secrets, secret)
	}
	client := kube.NewFakeClient(secrets...)
	client.Kube().(*fake.Clientset).PrependReactor("create", "subjectaccessreviews", mayRead)
	return client, nil
}

// mayRead is what Kubernetes says to an account that has a Role for the Secrets of its namespace.
func mayRead(clienttesting.Action) (bool, runtime.Object, error) {
	return true, &authorizationv1.SubjectAccessReview{Status: authorizationv1.SubjectAccessReviewStatus{Allowed: true}}, nil
}

func check(err error) {
	if err != nil {
		log.Error(err)
		os.Exit(1)
	}
}
