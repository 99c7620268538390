import { graphql } from "relay-runtime";

export const start = graphql`
  mutation AppStartMutation($input: StartWecomMobileLoginInput!) {
    startWecomMobileLogin(input: $input) {
      __typename
      ... on WecomMobileLoginRequest { schema corpId agentId state }
      ... on LoginFailure { code message retry }
    }
  }
`;

export const login = graphql`
  mutation AppLoginMutation($input: WecomMobileLoginInput!) {
    wecomMobileLogin(input: $input) {
      __typename
      ... on LoginSuccess {
        user { ...App_user }
        tokens { accessToken }
      }
      ... on BindingRequired { ticket methods }
      ... on LoginFailure { code message retry }
    }
  }
`;

export const user = graphql`
  fragment App_user on User @refetchable(queryName: "AppUserQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 1 }, cursor: { type: "String" }) {
    id
    displayName
    sessions(first: $count, after: $cursor) @connection(key: "App_sessions") {
      edges { node { id current } }
    }
  }
`;

export const users = graphql`
  query AppUsersQuery($first: Int!, $after: String) {
    users(first: $first, after: $after) @connection(key: "App_users") {
      edges { node { id displayName } }
    }
  }
`;

export const node = graphql`
  query AppNodeQuery($id: ID!) {
    node(id: $id) { __typename id ... on User { displayName } }
  }
`;
