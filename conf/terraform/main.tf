# SPDX-License-Identifier: Apache-2.0
#
# A stream and a role that may write to it, for EKS (IRSA) or ECS.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "stream_name" {
  type    = string
  default = "logs"
}

variable "shards" {
  description = "Number of shards; 0 makes an on-demand stream."
  type        = number
  default     = 0
}

variable "oidc_provider_arn" {
  description = "OIDC provider of the EKS cluster; empty for a role of ECS tasks."
  type        = string
  default     = ""
}

variable "service_account" {
  description = "NAMESPACE:NAME of the service account in the cluster."
  type        = string
  default     = "logging:fluent-bit-kpl"
}

variable "verify_uncertain" {
  description = "Whether the role may read the stream, for the option verify_uncertain."
  type        = bool
  default     = false
}

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

resource "aws_kms_key" "logs" {
  description         = "Records of the stream ${var.stream_name}"
  enable_key_rotation = true
}

resource "aws_kinesis_stream" "logs" {
  name             = var.stream_name
  shard_count      = var.shards > 0 ? var.shards : null
  retention_period = 48 # hours: a consumer may be down for a weekend day
  encryption_type  = "KMS"
  kms_key_id       = aws_kms_key.logs.arn

  # Throttles per shard, to compare with what the producer counts.
  shard_level_metrics = var.shards > 0 ? ["WriteProvisionedThroughputExceeded", "IncomingBytes"] : null

  stream_mode_details {
    stream_mode = var.shards > 0 ? "PROVISIONED" : "ON_DEMAND"
  }
}

# The same statements as in conf/iam/producer.json.
data "aws_iam_policy_document" "producer" {
  statement {
    sid       = "Write"
    actions   = ["kinesis:PutRecords", "kinesis:ListShards", "kinesis:DescribeStreamSummary"]
    resources = [aws_kinesis_stream.logs.arn]
  }
  statement {
    sid       = "EncryptedWithAKeyOfYourOwn"
    actions   = ["kms:GenerateDataKey"]
    resources = [aws_kms_key.logs.arn]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["kinesis.${data.aws_region.current.name}.amazonaws.com"]
    }
  }
}

# The same statements as in conf/iam/read-back.json.
data "aws_iam_policy_document" "read_back" {
  statement {
    sid       = "ReadBack"
    actions   = ["kinesis:GetShardIterator", "kinesis:GetRecords"]
    resources = [aws_kinesis_stream.logs.arn]
  }
  statement {
    sid       = "EncryptedWithAKeyOfYourOwn"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.logs.arn]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["kinesis.${data.aws_region.current.name}.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "trust_ecs" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

locals {
  oidc_issuer = replace(var.oidc_provider_arn, "/^.*oidc-provider\\//", "")
}

data "aws_iam_policy_document" "trust_eks" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [var.oidc_provider_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.oidc_issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.oidc_issuer}:sub"
      values   = ["system:serviceaccount:${var.service_account}"]
    }
  }
}

resource "aws_iam_role" "producer" {
  name = "${var.stream_name}-producer"
  assume_role_policy = (
    var.oidc_provider_arn != "" ?
    data.aws_iam_policy_document.trust_eks.json :
    data.aws_iam_policy_document.trust_ecs.json
  )
}

resource "aws_iam_role_policy" "producer" {
  name   = "write-to-the-stream"
  role   = aws_iam_role.producer.id
  policy = data.aws_iam_policy_document.producer.json
}

resource "aws_iam_role_policy" "read_back" {
  count  = var.verify_uncertain ? 1 : 0
  name   = "read-back"
  role   = aws_iam_role.producer.id
  policy = data.aws_iam_policy_document.read_back.json
}

output "stream_arn" {
  value = aws_kinesis_stream.logs.arn
}

output "role_arn" {
  value = aws_iam_role.producer.arn
}
