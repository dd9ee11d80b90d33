package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

const password = "correct-horse"

// environment is a job's, as the session component and AWS Batch make it.
func environment(ports contract.PortRange, changes ...string) []string {
	return append([]string{
		"DCV_CONTRACT=1", "DCV_STACK=dev", "DCV_USER=player1", "DCV_IMAGE=repo@sha256:1", "AWS_REGION=us-east-1",
		fmt.Sprint("DCV_PORT_FIRST=", ports.First), fmt.Sprint("DCV_PORT_LAST=", ports.Last),
		"DCV_STOP_SECONDS=10", "DCV_MAX_SECONDS=3600",
		`DCV_CREDENTIALS={"username":"player1","password":"` + password + `"}`,
	}, changes...)
}

// freeRange is some ports side by side that nobody listens on.
func freeRange(t *testing.T, width int) contract.PortRange {
	t.Helper()
	for first := 20000; first < 60000; first += 97 {
		r := contract.PortRange{First: first, Last: first + width - 1}
		free := true
		for port := r.First; port <= r.Last; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if free = free && err == nil; err == nil {
				l.Close()
			}
		}
		if free {
			return r
		}
	}
	t.Fatal("no free ports on loopback")
	return contract.PortRange{}
}

// metadata stands in for an instance's, IMDSv2 only.
func metadata(t *testing.T, values map[string]string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value, known := values[strings.TrimPrefix(r.URL.Path, "/latest/meta-data/")]
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
			_, _ = io.WriteString(w, "token")
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token":
			w.WriteHeader(http.StatusUnauthorized)
		case !known:
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = io.WriteString(w, value)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.URL)
}

func noMetadata(t *testing.T) { t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1") }

// started is a session that runs.
type started struct {
	events <-chan contract.Event
	stop   context.CancelFunc
	code   <-chan int
}

func start(t *testing.T, environ []string) started {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	read, write := io.Pipe()
	events, code := make(chan contract.Event, 16), make(chan int, 1)
	go func() {
		code <- run(ctx, environ, write)
		write.Close()
	}()
	go func() {
		defer close(events)
		for lines := bufio.NewScanner(read); lines.Scan(); {
			var e contract.Event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Errorf("a line on stdout that is no event: %s", lines.Text())
			}
			events <- e
		}
	}()
	return started{events, stop, code}
}

func (s started) next(t *testing.T) contract.Event {
	t.Helper()
	select {
	case e := <-s.events:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event in 20 s")
		return contract.Event{}
	}
}

func TestASessionStartsAnswersAndEndsWhenAsked(t *testing.T) {
	metadata(t, map[string]string{"local-ipv4": "127.0.0.1", "public-ipv4": "198.51.100.7"})
	ports := freeRange(t, 1)
	s := start(t, environment(ports, "AWS_BATCH_JOB_ID=job-1"))

	starting := s.next(t)
	assert.Equal(t, contract.EventStarting, starting.Event)
	assert.Equal(t, []string{"job-1", "dev", "player1", "repo@sha256:1"}, []string{starting.Session, starting.Stack, starting.User, starting.Image})
	_, err := time.Parse(time.RFC3339, starting.Time)
	assert.NoError(t, err)

	ready := s.next(t)
	assert.Equal(t, contract.EventReady, ready.Event)
	assert.Equal(t, fmt.Sprintf("https://198.51.100.7:%d/", ports.First), ready.URL, "players are told the public address")

	res := get(t, fmt.Sprintf("https://127.0.0.1:%d%s", ports.First, contract.HealthPath))
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.JSONEq(t, `{"status":"ready","contract":1}`, string(body), "and nothing about whose session it is")

	s.stop()
	ended := s.next(t)
	assert.Equal(t, contract.EventEnded, ended.Event)
	assert.Equal(t, contract.ExitOK, *ended.ExitCode)
	assert.Equal(t, contract.ExitOK, <-s.code)
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := client.Get(url)
	require.NoError(t, err)
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func TestAHostWithoutPublicAddressIsReachedAtItsPrivateOne(t *testing.T) {
	metadata(t, map[string]string{"local-ipv4": "127.0.0.1"})
	ports := freeRange(t, 1)
	s := start(t, environment(ports))
	s.next(t)
	assert.Equal(t, fmt.Sprintf("https://127.0.0.1:%d/", ports.First), s.next(t).URL)
}

func TestWithoutMetadataASessionStaysOnLoopback(t *testing.T) {
	noMetadata(t)
	ports := freeRange(t, 1)
	s := start(t, environment(ports))
	assert.Contains(t, s.next(t).Session, "local-")
	assert.Equal(t, fmt.Sprintf("https://127.0.0.1:%d/", ports.First), s.next(t).URL)
}

func TestABatchHostWithoutMetadataIsTheHostsFault(t *testing.T) {
	noMetadata(t)
	s := start(t, environment(freeRange(t, 1), "AWS_BATCH_JOB_ID=job-1"))
	s.next(t)
	assert.Equal(t, contract.ExitHost, *s.next(t).ExitCode)
}

func TestTwoSessionsOfOneHostTakeTwoPortsAndAThirdFindsNone(t *testing.T) {
	noMetadata(t)
	environ := environment(freeRange(t, 2))
	urls := map[string]bool{}
	var mu sync.Mutex
	var both sync.WaitGroup
	for range 2 {
		s := start(t, environ)
		both.Go(func() {
			<-s.events
			ready := <-s.events
			mu.Lock()
			defer mu.Unlock()
			urls[ready.URL] = true
		})
	}
	both.Wait()
	assert.Len(t, urls, 2)

	third := start(t, environ)
	third.next(t)
	ended := third.next(t)
	assert.Equal(t, contract.ExitNoPort, *ended.ExitCode)
	assert.Contains(t, ended.Reason, "no port of the range is free")
}

func TestEveryFaultOfTheEnvironmentIsToldAtOnceAndNoPasswordWithIt(t *testing.T) {
	s := start(t, []string{
		"DCV_CONTRACT=2", "DCV_USER=Player", "DCV_PORT_FIRST=8443", "DCV_PORT_LAST=8442",
		"DCV_STOP_SECONDS=1", "DCV_MAX_SECONDS=", `DCV_CREDENTIALS={"username":"other","password":"` + password + `"}`,
	})
	s.next(t)
	ended := s.next(t)
	assert.Equal(t, contract.ExitConfiguration, *ended.ExitCode)
	for _, fault := range []string{
		"DCV_STACK is missing", "DCV_IMAGE is missing", "AWS_REGION is missing", `DCV_CONTRACT="2"`, `DCV_USER="Player"`,
		"DCV_PORT_LAST is below DCV_PORT_FIRST", `DCV_STOP_SECONDS="1"`, `DCV_MAX_SECONDS=""`, "DCV_CREDENTIALS is not the JSON",
	} {
		assert.Contains(t, ended.Reason, fault)
	}
	assert.NotContains(t, ended.Reason, password)
}

func TestAnAddressThatIsNotTheHostsIsTheHostsFault(t *testing.T) {
	_, err := listen(netip.MustParseAddr("192.0.2.1"), contract.PortRange{First: 8443, Last: 8444})
	require.Error(t, err)
	assert.NotErrorIs(t, err, errNoPort)
}

func TestASessionEndsItselfWhenItsTimeIsOver(t *testing.T) {
	end := wait(context.Background(), time.Millisecond, make(chan string), make(chan error))
	assert.Equal(t, contract.ExitOK, end.code)
	assert.Contains(t, end.reason, "longest session")
}
