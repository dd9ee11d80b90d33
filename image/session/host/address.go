// Package host is what a session has of its host, which it may share with other
// sessions: addresses, a port, an X display.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Addresses are where a session listens and what players are told.
type Addresses struct{ Private, Public netip.Addr }

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// metadataLimit bounds all questions to the instance's metadata together.
const metadataLimit = 5 * time.Second

// Find asks the instance's metadata (IMDSv2) for the host's addresses. A host
// without a public address is reached at its private one. Where no metadata
// answers, the session runs on somebody's own machine and stays on loopback; a
// Batch host always has metadata, so there it is the host's fault.
func Find(ctx context.Context, onBatchHost bool) (Addresses, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataLimit)
	defer cancel()
	attempts := 1 // elsewhere there is none most often, and nobody waits for it
	if onBatchHost {
		attempts = 3
	}
	client := imds.New(imds.Options{
		Endpoint:       os.Getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"), // the SDKs' own variable
		Retryer:        retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = attempts }),
		EnableFallback: aws.FalseTernary, // never IMDSv1
	})
	private, err := metadataAddress(ctx, client, "local-ipv4")
	switch {
	case err != nil && onBatchHost:
		return Addresses{}, fmt.Errorf("the host's metadata: %w", err)
	case err != nil:
		return Addresses{loopback, loopback}, nil
	}
	public, err := metadataAddress(ctx, client, "public-ipv4")
	if isNotFound(err) {
		return Addresses{private, private}, nil
	}
	if err != nil {
		return Addresses{}, fmt.Errorf("the host's metadata: %w", err)
	}
	return Addresses{private, public}, nil
}

func metadataAddress(ctx context.Context, client *imds.Client, name string) (netip.Addr, error) {
	answer, err := client.GetMetadata(ctx, &imds.GetMetadataInput{Path: name})
	if err != nil {
		return netip.Addr{}, err
	}
	defer answer.Content.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Content, 64))
	if err != nil {
		return netip.Addr{}, err
	}
	return netip.ParseAddr(strings.TrimSpace(string(text)))
}

func isNotFound(err error) bool {
	var answer *smithyhttp.ResponseError
	return errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusNotFound
}
