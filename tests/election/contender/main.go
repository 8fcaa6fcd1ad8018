// A contender for the Lease dns/dnslb that is client-go's own leader election: what
// tests/election/test_kubernetes_contender.py holds ours against.
//
// Usage: contender KUBECONFIG IDENTITY. Says "leads" and "stopped", releases on SIGTERM. Built from
// the sources of Kubernetes (1.20.2 was tried), in GOPATH mode, this directory being laid over one
// in them:
//
//	echo '{"Replace": {"'$PWD'/cmd/contender/main.go": "'$HERE'/main.go"}}' > overlay.json
//	GO111MODULE=off go build -overlay overlay.json -o contender ./cmd/contender
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	if err != nil {
		panic(err)
	}
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: "dnslb", Namespace: "dns"},
		Client:     kubernetes.NewForConfigOrDie(config).CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: os.Args[2]},
	}
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock:            lock,
		ReleaseOnCancel: true,
		LeaseDuration:   6 * time.Second,
		RenewDeadline:   4 * time.Second,
		RetryPeriod:     500 * time.Millisecond,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { fmt.Println("leads") },
			OnStoppedLeading: func() { fmt.Println("stopped") },
		},
	})
}
