import java.net.HttpURLConnection
import java.net.URL
import org.json.JSONObject

fun main(arguments: Array<String>) {
    val (url, app, phone) = arguments
    val hefu = Hefu(url, app)
    check(hefu.loginOptions().length() == 2)
    val pkce = Pkce()
    val begun = hefu.startWecomMobileLogin("wecom", pkce.challenge)
    val connection = URL("$phone/sandbox/approve").openConnection() as HttpURLConnection
    connection.requestMethod = "POST"
    connection.doOutput = true
    connection.setRequestProperty("Content-Type", "application/json")
    begun.put("userId", "zhangsan")
    connection.outputStream.use { it.write(begun.toString().toByteArray()) }
    val code = JSONObject(connection.inputStream.use { it.readBytes().toString(Charsets.UTF_8) })
    val device = JSONObject().put("platform", "ANDROID").put("installationId", "test")
    val state = begun.getString("state")
    val login = hefu.wecomMobileLogin("wecom", code.getString("code"), state, pkce.verifier, device)
    val tokens = login.getJSONObject("tokens")
    val access = tokens.getString("accessToken")
    val me = hefu.call("{ me { displayName } }", JSONObject(), access).getJSONObject("me")
    check(me.getString("displayName") == "张三")
    val refreshed = hefu.refreshSession(tokens.getString("refreshToken")).getJSONObject("tokens")
    hefu.signOut(refreshed.getString("refreshToken"))
    val ended = hefu.refreshSession(refreshed.getString("refreshToken"))
    println(login.getString("__typename") + " " + ended.getString("code"))
    try {
        hefu.call("{ me { displayName } }", JSONObject(), access)
    } catch (refused: RequestRefused) {
        println(refused.code + " " + refused.reason)
    }
}
