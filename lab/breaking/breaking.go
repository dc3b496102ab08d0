// Package breaking is what the labs of limits have in common: a service that leaks something finite at a rate, healthy traffic
// beside it, the pages any Go service has, and /truth, which says what was planted.
//
//	/truth                  what is leaked, which limit it runs into, the line that holds it, how fast, and whether it broke
//	/leak/start?per_s=2     leak at this rate (jobs come at random, as customers do), until /leak/stop
//	/work                   the healthy work; the service's own traffic asks for it all the time
//	/metrics, /debug/vars, /debug/pprof
package breaking

import (
	"encoding/json"
	"errors"
	"expvar"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	_ "net/http/pprof" // /debug/pprof
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/shop/gometrics"
)

const (
	maxPerS      = 1000
	workBytes    = 32 << 10 // garbage of one healthy request
	errorsLogged = 5        // of refusals: a service at its limit says so thousands of times
)

// Kind is one way to leak: Leak does one customer's job and keeps something for good. An error is a refusal by the system.
type Kind struct {
	Name  string
	Holds string // in words: what is kept
	Limit string // which limit it runs into: fd-limit, thread-limit, memory-limit
	Leak  func() error
}

// Truth is what /truth tells. The holder is the line at which leaked goroutines stand.
type Truth struct {
	Kind     string   `json:"kind"`
	Kinds    []string `json:"kinds"`
	Holds    string   `json:"holds"`
	Limit    string   `json:"limit"`
	Holder   Place    `json:"holder"`
	PerS     float64  `json:"per_s"`
	Seed     uint64   `json:"seed"`
	Leaked   int64    `json:"leaked"`
	Refused  int64    `json:"refused"`
	Served   int64    `json:"served"`
	Failed   int64    `json:"failed"`
	Since    float64  `json:"since"`
	BrokeAt  float64  `json:"broke_at"` // Unix seconds of the first refusal, 0 = not yet
	Broke    string   `json:"broke"`
	MaxFiles uint64   `json:"max_files"`
}

// Place is a line of code.
type Place struct {
	Function string `json:"function"`
	File     string `json:"file"`
	Line     int    `json:"line"`
}

// Service is one lab's.
type Service struct {
	kinds map[string]Kind
	order []string
	quit  chan struct{}

	mu    sync.Mutex
	truth Truth
}

var (
	addr     = flag.String("addr", "127.0.0.1:8080", "listen on `host:port`")
	kindFlag = flag.String("kind", "", "what to leak (default: the lab's first)")
	perS     = flag.Float64("leak-per-s", 0, "leak so many a second from the start (0 = until /leak/start)")
	after    = flag.Duration("leak-after", 0, "and only after this long")
	seed     = flag.Uint64("seed", 1, "of the random gaps between the jobs")
	traffic  = flag.Float64("traffic-per-s", 10, "healthy requests a second the service gets beside it")
)

// New is a service that can leak in these ways, the first one unless told otherwise. Call after flag.Parse.
func New(kinds ...Kind) *Service {
	s := &Service{kinds: map[string]Kind{}}
	for _, kind := range kinds {
		s.kinds[kind.Name] = kind
		s.order = append(s.order, kind.Name)
	}
	chosen := s.order[0]
	if *kindFlag != "" {
		chosen = *kindFlag
	}
	kind, known := s.kinds[chosen]
	if !known {
		log.Fatalf("no kind of leak named %q; there are %s", chosen, strings.Join(s.order, ", "))
	}
	s.truth = Truth{Kind: kind.Name, Kinds: s.order, Holds: kind.Holds, Limit: kind.Limit, Seed: *seed}
	return s
}

// HoldsBelow says that the statement below its call is where leaked goroutines stand: the line /truth names.
func (s *Service) HoldsBelow() {
	pc, file, line, ok := runtime.Caller(1)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.truth.Holder.Line == 0 {
		s.truth.Holder = Place{runtime.FuncForPC(pc).Name(), file, line + 1}
	}
}

// Handle adds a route of the lab's own.
func (s *Service) Handle(pattern string, handler http.HandlerFunc) { http.HandleFunc(pattern, handler) }

// Serve never returns.
func (s *Service) Serve() {
	expvar.Publish("truth", expvar.Func(func() any { return s.state() }))
	http.HandleFunc("GET /metrics", s.metrics)
	http.HandleFunc("GET /work", s.work)
	http.HandleFunc("GET /truth", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.state()) })
	http.HandleFunc("GET /leak/start", s.startLeak)
	http.HandleFunc("GET /leak/stop", func(w http.ResponseWriter, _ *http.Request) {
		s.stop()
		answer(w, s.state())
	})
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	if *perS > 0 {
		time.AfterFunc(*after, func() { s.start(*perS) })
	}
	go s.visit("http://" + listener.Addr().String() + "/work")
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, ConnContext: smallQueue}
	log.Fatal(server.Serve(listener))
}

// Count counts a job that was done for a customer who came over HTTP: it leaked, or was refused.
func (s *Service) Count(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.truth.Leaked++
		if s.truth.Since == 0 {
			s.truth.Since = unix(time.Now())
		}
		return
	}
	s.truth.Refused++
	if s.truth.Refused <= errorsLogged {
		fmt.Fprintf(os.Stderr, "refused at %.3f: %v\n", unix(time.Now()), err)
	}
	if s.truth.BrokeAt == 0 && (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.EAGAIN)) {
		s.truth.BrokeAt, s.truth.Broke = unix(time.Now()), err.Error()
		fmt.Fprintf(os.Stderr, "broke at %.3f after %d: %v\n", s.truth.BrokeAt, s.truth.Leaked, err)
	}
}

func (s *Service) startLeak(w http.ResponseWriter, r *http.Request) {
	rate, err := strconv.ParseFloat(r.URL.Query().Get("per_s"), 64)
	if err != nil || !(rate > 0 && rate <= maxPerS) {
		http.Error(w, fmt.Sprintf("per_s must be above 0 and at most %d", maxPerS), http.StatusBadRequest)
		return
	}
	s.start(rate)
	answer(w, s.state())
}

func (s *Service) start(rate float64) {
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.truth.PerS = rate
	s.quit = make(chan struct{})
	if leak := s.kinds[s.truth.Kind].Leak; leak != nil {
		go s.takeJobs(leak, rate, s.quit)
	}
}

func (s *Service) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quit != nil {
		close(s.quit)
		s.quit, s.truth.PerS = nil, 0
	}
}

// takeJobs: customers come at random, perS a second on average; the same seed brings them at the same moments.
func (s *Service) takeJobs(leak func() error, perS float64, quit chan struct{}) {
	chance := rand.New(rand.NewPCG(*seed, 0))
	due := time.Now()
	for {
		due = due.Add(time.Duration(chance.ExpFloat64() / perS * float64(time.Second)))
		select {
		case <-quit:
			return
		case <-time.After(time.Until(due)):
		}
		s.Count(leak())
	}
}

// visit is the healthy traffic: every request over a connection of its own, which is closed.
func (s *Service) visit(url string) {
	if *traffic <= 0 {
		return
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	for range time.Tick(time.Duration(float64(time.Second) / *traffic)) {
		answer, err := client.Get(url)
		if err == nil {
			_, err = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		s.mu.Lock()
		if err != nil {
			s.truth.Failed++
		} else {
			s.truth.Served++
		}
		s.mu.Unlock()
		if errors.Is(err, syscall.EMFILE) {
			s.Count(err)
		}
	}
}

// work is what the service is for: it opens a file, computes a little, and gives everything back.
func (s *Service) work(w http.ResponseWriter, _ *http.Request) {
	page := make([]byte, workBytes)
	file, err := os.Open(os.DevNull)
	if err != nil {
		s.Count(err)
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	defer file.Close()
	for i := range page {
		page[i] = byte(i)
	}
	fmt.Fprintf(w, "%08x\n", crc32.ChecksumIEEE(page))
}

func (s *Service) state() Truth {
	var limit syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.truth
	state.MaxFiles = limit.Cur
	return state
}

func (s *Service) metrics(w http.ResponseWriter, _ *http.Request) {
	state := s.state()
	families := append(gometrics.Runtime(), gometrics.Process()...)
	families = append(families, gometrics.Family{
		Name: "http_requests_total", Help: "Requests served.", Kind: gometrics.Counter,
		Samples: []gometrics.Sample{
			{Labels: `{code="200",path="/work"}`, Value: float64(state.Served)},
			{Labels: `{code="503",path="/work"}`, Value: float64(state.Failed)},
		},
	})
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(gometrics.Write(families))
}

// Threads lowers Go's own limit of threads, as -max-threads asks.
func Threads(most int) {
	if most > 0 {
		debug.SetMaxThreads(most)
	}
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(what); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func unix(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }
