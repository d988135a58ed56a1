// Command faulty is a bad version of a service: it runs the real program behind itself and spoils what passes, by variables of its
// own. FAULT_FAIL is the share of calls that it answers with UNAVAILABLE, or 503; FAULT_SLOW how long each one waits first;
// FAULT_CRASH after how long it ends with an error. What it has spoilt is told at /metrics, as a program tells of itself.
// Health, probes and streams pass as they are.
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	calls, probes             = ":9000", ":9090"
	realCalls, realProbes     = "127.0.0.1:9001", "127.0.0.1:9091"
	unavailable               = 14
	healthPath, partPath      = "/grpc.health.", "/prepx.platform."
	streamPath, subscribePath = "/prepx.trading.v1.TradingService/Stream", "/prepx.notification.v1.NotificationService/"
)

// What was spoilt, in the terms of the program's own metrics.
type spoilt struct {
	sync.Mutex
	failed, slow map[string]int
}

func main() {
	log.SetFlags(0)
	program := exec.Command(os.Args[1], os.Args[2:]...)
	program.Stdout, program.Stderr = os.Stdout, os.Stderr
	program.Env = append(os.Environ(), "PREPX_LISTEN="+realCalls, "PREPX_PROBE_LISTEN="+realProbes)
	if err := program.Start(); err != nil {
		log.Fatal(err)
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	go func() { program.Process.Signal(<-told) }()
	if after := duration("FAULT_CRASH"); after > 0 {
		time.AfterFunc(after, func() { log.Fatalf("a version that crashes after %s", after) })
	}
	spoilt := &spoilt{failed: map[string]int{}, slow: map[string]int{}}
	go serve(calls, spoilt.spoil(forward(realCalls)))
	go serve(probes, spoilt.tell(forward(realProbes)))
	if err := program.Wait(); err != nil {
		log.Fatal(err)
	}
}

func duration(name string) time.Duration {
	value, err := time.ParseDuration(os.Getenv(name))
	if err != nil {
		return 0
	}
	return value
}

// HTTP/1.1 and HTTP/2 without TLS, as the programs speak.
func protocols() *http.Protocols {
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	return both
}

func serve(address string, handler http.Handler) {
	server := &http.Server{Addr: address, Handler: handler, Protocols: protocols()}
	log.Fatal(server.ListenAndServe())
}

func forward(address string) http.Handler {
	second := new(http.Protocols)
	second.SetUnencryptedHTTP2(true)
	h2, h1 := &http.Transport{Protocols: second}, &http.Transport{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	proxy.FlushInterval = -1
	proxy.Transport = byVersion(func(request *http.Request) (*http.Response, error) {
		if isGrpc(request) {
			return h2.RoundTrip(request)
		}
		return h1.RoundTrip(request)
	})
	return proxy
}

func isGrpc(request *http.Request) bool {
	return strings.HasPrefix(request.Header.Get("Content-Type"), "application/grpc")
}

type byVersion func(*http.Request) (*http.Response, error)

func (trip byVersion) RoundTrip(request *http.Request) (*http.Response, error) { return trip(request) }

func (s *spoilt) spoil(next http.Handler) http.Handler {
	share, _ := strconv.ParseFloat(os.Getenv("FAULT_FAIL"), 64)
	slow := duration("FAULT_SLOW")
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		path := request.URL.Path
		for _, passes := range []string{healthPath, partPath, streamPath, subscribePath} {
			if strings.HasPrefix(path, passes) {
				next.ServeHTTP(answer, request)
				return
			}
		}
		if slow > 0 {
			s.count(s.slow, path)
			time.Sleep(slow)
		}
		if rand.Float64() >= share {
			next.ServeHTTP(answer, request)
			return
		}
		s.count(s.failed, path)
		if !isGrpc(request) {
			http.Error(answer, "this version fails", http.StatusServiceUnavailable)
			return
		}
		answer.Header().Set("Content-Type", "application/grpc")
		answer.Header().Set("Grpc-Status", strconv.Itoa(unavailable))
		answer.Header().Set("Grpc-Message", "this version fails")
	})
}

func (s *spoilt) count(what map[string]int, path string) {
	s.Lock()
	defer s.Unlock()
	what[path]++
}

func (s *spoilt) tell(next http.Handler) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/metrics" {
			next.ServeHTTP(answer, request)
			return
		}
		real, err := http.Get("http://" + realProbes + "/metrics")
		if err != nil {
			http.Error(answer, err.Error(), http.StatusBadGateway)
			return
		}
		defer real.Body.Close()
		answer.Header().Set("Content-Type", real.Header.Get("Content-Type"))
		page, _ := io.ReadAll(real.Body)
		answer.Write(append(bytes.TrimRight(page, "\n"), '\n'))
		s.Lock()
		defer s.Unlock()
		for path, count := range s.failed {
			fmt.Fprintf(answer, "prepx_calls_total{method=%q,code=\"UNAVAILABLE\",by=\"fault\"} %d\n", path, count)
		}
		slow := duration("FAULT_SLOW").Seconds()
		for _, bound := range bounds(page) {
			for path, count := range s.slow {
				if limit, err := strconv.ParseFloat(bound, 64); err == nil && limit < slow {
					count = 0
				}
				fmt.Fprintf(answer, "prepx_call_duration_seconds_bucket{method=%q,by=\"fault\",le=%q} %d\n", path, bound, count)
			}
		}
	})
}

// What the program's own histograms are bounded by.
func bounds(page []byte) []string {
	found := regexp.MustCompile(`(?m)^prepx_call_duration_seconds_bucket\{.*le="([^"]+)"`)
	all := map[string]bool{}
	for _, match := range found.FindAllSubmatch(page, -1) {
		all[string(match[1])] = true
	}
	return slices.Collect(maps.Keys(all))
}
