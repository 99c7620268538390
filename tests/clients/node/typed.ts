// What the generated types promise, as an app relies on it.
import {
  WecomMobileLoginDocument,
  type LoginFailureCode,
  type WecomMobileLoginMutation,
} from "./generated/typescript";

export function shown(answer: WecomMobileLoginMutation): string {
  const result = answer.wecomMobileLogin;
  switch (result.__typename) {
    case "LoginSuccess":
      return result.tokens.accessToken;
    case "BindingRequired":
      return result.ticket;
    case "LoginFailure": {
      const code: LoginFailureCode = result.code;
      return `${code}: ${result.message}`;
    }
  }
}

export const document = WecomMobileLoginDocument;
