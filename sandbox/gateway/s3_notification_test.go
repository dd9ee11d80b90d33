package gateway

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/require"
)

func newBucket(t *testing.T, name string) *s3.Client {
	t.Helper()
	client := s3.NewFromConfig(newSandbox(t).Config, func(o *s3.Options) { o.UsePathStyle = true })
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(name)})
	require.NoError(t, err)
	return client
}

func TestABucketsEventBridgeSwitchIsReadBack(t *testing.T) {
	s := newSandbox(t)
	client := newBucket(t, "switched")
	s.query(t, "sns", "2010-03-31", "CreateTopic", "Name", "builds")
	put := func(config *types.NotificationConfiguration) {
		t.Helper()
		_, err := client.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{Bucket: aws.String("switched"), NotificationConfiguration: config, SkipDestinationValidation: aws.Bool(true)})
		require.NoError(t, err)
	}
	get := func() *s3.GetBucketNotificationConfigurationOutput {
		t.Helper()
		got, err := client.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: aws.String("switched")})
		require.NoError(t, err)
		return got
	}
	topic := []types.TopicConfiguration{{Id: aws.String("builds"), TopicArn: aws.String("arn:aws:sns:us-east-1:123456789012:builds"), Events: []types.Event{types.EventS3ObjectCreated}}}
	require.Nil(t, get().EventBridgeConfiguration)

	put(&types.NotificationConfiguration{EventBridgeConfiguration: &types.EventBridgeConfiguration{}})
	require.NotNil(t, get().EventBridgeConfiguration)
	require.Empty(t, get().TopicConfigurations)

	put(&types.NotificationConfiguration{EventBridgeConfiguration: &types.EventBridgeConfiguration{}, TopicConfigurations: topic})
	require.NotNil(t, get().EventBridgeConfiguration)
	require.Equal(t, topic[0].TopicArn, get().TopicConfigurations[0].TopicArn, "the rest is as moto says")

	put(&types.NotificationConfiguration{TopicConfigurations: topic})
	require.Nil(t, get().EventBridgeConfiguration)

	put(&types.NotificationConfiguration{EventBridgeConfiguration: &types.EventBridgeConfiguration{}})
	_, err := client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("switched")})
	require.NoError(t, err)
	newBucket(t, "switched")
	require.Nil(t, get().EventBridgeConfiguration, "it goes with the bucket")
}
