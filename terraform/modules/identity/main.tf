# What service accounts of one cluster may do outside of it: a role for each entry, taken on with the account's token.

data "aws_iam_policy_document" "assume" {
  for_each = var.roles

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [var.tokens.provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.tokens.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringLike"
      variable = "${var.tokens.issuer}:sub"
      values   = [for account in each.value.accounts : "system:serviceaccount:${each.value.namespace}:${account}"]
    }
  }
}

data "aws_iam_policy_document" "may" {
  for_each = var.roles

  dynamic "statement" {
    for_each = each.value.may

    content {
      actions   = statement.value.actions
      resources = statement.value.resources
    }
  }
}

resource "aws_iam_role" "this" {
  for_each = var.roles

  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.assume[each.key].json
}

resource "aws_iam_role_policy" "this" {
  for_each = var.roles

  name   = each.key
  role   = aws_iam_role.this[each.key].id
  policy = data.aws_iam_policy_document.may[each.key].json
}
