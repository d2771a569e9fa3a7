// Writes MP4 of the head with the sound: every frame is drawn at its exact time on a canvas of its own, so that the page
// stays usable; the browser encodes (WebCodecs), mediabunny writes the file.

import { t } from "./i18n.js";

const MAX_VIDEO_FPS = 60;
const VIDEO_HEIGHT = 1080; // pixels
const SOFTWARE_VIDEO_HEIGHT = 720;
const VIDEO_CODECS = ["avc", "vp9", "av1"]; // the first that the browser encodes
const SOUND_CODECS = ["aac", "opus"];
const SOUND_HZ = 48000;

export const encodesVideo = () => "VideoEncoder" in window && "AudioEncoder" in window; // not over plain HTTP

// Lets clicks and drawing of the page happen; a timer would sleep in a hidden tab.
const otherTasks = () =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (port1.close(), resolve());
    port2.postMessage(null);
  });

// head: what is recorded, from its viewpoint. pose(head, time): sets the face of a time. sound: ArrayBuffer of a sound
// file. signal: an AbortSignal. progress: called with the share that is done. Returns a Blob.
export async function recordVideo({ mediabunny, head, viewpoint, pose, sound, numFrames, fps, background, signal, progress }) {
  const { Output, Mp4OutputFormat, BufferTarget, CanvasSource, AudioBufferSource, Quality } = mediabunny;
  const videoFps = Math.min(fps, MAX_VIDEO_FPS);
  const count = Math.ceil((numFrames / fps) * videoFps - 1e-6);
  const height = head.software ? SOFTWARE_VIDEO_HEIGHT : VIDEO_HEIGHT;
  const width = 2 * Math.round((height * viewpoint.aspect) / 2); // encoders want even sizes
  const samples = await new OfflineAudioContext(1, 1, SOUND_HZ).decodeAudioData(sound);
  const asked = { width, height, quality: new Quality("high"), frameRate: videoFps };
  const soundFormat = { numberOfChannels: samples.numberOfChannels, sampleRate: SOUND_HZ, quality: new Quality("high") };
  const codec = await mediabunny.getFirstEncodableVideoCodec(VIDEO_CODECS, asked);
  const soundCodec = await mediabunny.getFirstEncodableAudioCodec(SOUND_CODECS, soundFormat);
  if (!codec || !soundCodec) throw new Error(t("this browser encodes no picture or no sound that MP4 can hold"));

  const picture = Object.assign(document.createElement("canvas"), { width, height });
  const output = new Output({ format: new Mp4OutputFormat(), target: new BufferTarget() });
  const video = new CanvasSource(picture, { codec, quality: asked.quality });
  const audio = new AudioBufferSource({ codec: soundCodec, quality: soundFormat.quality });
  output.addVideoTrack(video, { frameRate: videoFps });
  output.addAudioTrack(audio);
  const studio = await head.copy(width, height, viewpoint);
  try {
    await output.start();
    const whole = audio.add(samples).then(() => audio.close());
    whole.catch(() => {}); // an error is thrown where it is awaited
    for (let frame = 0; frame < count; frame++) {
      signal.throwIfAborted();
      pose(studio, frame / videoFps);
      studio.render();
      drawPicture(picture, studio.canvas, background);
      await video.add(frame / videoFps, 1 / videoFps);
      progress((frame + 1) / count);
      await otherTasks();
    }
    await whole;
    await output.finalize();
    return new Blob([output.target.buffer], { type: "video/mp4" });
  } catch (error) {
    await output.cancel();
    throw error;
  } finally {
    studio.dispose();
  }
}

// background: two colors, of the light behind the head and of the corners (as player.css draws the stage)
function drawPicture(picture, drawn, [middle, corner]) {
  const { width, height } = picture;
  const context = picture.getContext("2d", { alpha: false });
  const [x, y] = [0.5 * width, 0.38 * height];
  const light = context.createRadialGradient(x, y, 0, x, y, Math.hypot(0.5 * width, 0.62 * height));
  light.addColorStop(0, middle);
  light.addColorStop(1, corner);
  context.fillStyle = light;
  context.fillRect(0, 0, width, height);
  context.drawImage(drawn, 0, 0);
}
