package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/intraverse/dcv-sessions/components/delivery"
	"github.com/intraverse/dcv-sessions/contract"
)

// connections is the part of Amazon EventBridge's client that sets a token.
type connections interface {
	UpdateConnection(context.Context, *eventbridge.UpdateConnectionInput, ...func(*eventbridge.Options)) (*eventbridge.UpdateConnectionOutput, error)
}

// tokenPattern matches every kind of GitHub's tokens, and no text with a line break or
// a second word.
var tokenPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{20,512}$`)

// setToken gives a stack's connection its token. No error contains the token.
func setToken(ctx context.Context, client connections, stack, token string) error {
	if !contract.StackPattern.MatchString(stack) {
		return fmt.Errorf("the stack's name is %q; allowed: text that matches %s", stack, contract.StackPattern)
	}
	if !tokenPattern.MatchString(token) {
		return fmt.Errorf("the token on standard input has %d characters; allowed: one line that matches %s", len(token), tokenPattern)
	}
	name := delivery.ConnectionName(stack)
	_, err := client.UpdateConnection(ctx, &eventbridge.UpdateConnectionInput{
		Name:              aws.String(name),
		AuthorizationType: delivery.AuthorizationType,
		AuthParameters: &types.UpdateConnectionAuthRequestParameters{ApiKeyAuthParameters: &types.UpdateConnectionApiKeyAuthRequestParameters{
			ApiKeyName: aws.String(delivery.AuthorizationHeader), ApiKeyValue: aws.String(delivery.AuthorizationScheme + token),
		}},
	})
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return fmt.Errorf("there is no connection %s: deploy the stack with delivery.repository set first: %w", name, err)
	}
	return err
}
