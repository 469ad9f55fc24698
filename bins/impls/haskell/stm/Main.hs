-- | A chat server of green threads and transactions on shared memory.
--
-- * Order: the transaction that puts a message into the queues of all clients. None of them is seen or changed
--   by another transaction in between, and there is no lock.
-- * A slow client lets its queue fill. All senders' transactions are retried until its writer takes what is in
--   it; if it does not within the grace, the client lags, and gets nothing more until it has taken all.
-- * Cost: two green threads a client, about a KiB of stack each; and a transaction looks for each of its
--   variables among those that it has used, so one of them costs more than twice as much with twice the clients.
-- * End: a client that leaves is marked so in the transaction that takes it out of the room; its writer writes
--   what its queue has, and ends the connection.
module Main (main) where

import Control.Concurrent (forkFinally, forkIO, threadDelay)
import Control.Concurrent.STM
import Control.Exception (IOException, finally, try)
import Control.Monad (filterM, forM_, unless, void, when)
import Data.ByteString (ByteString)
import qualified Data.ByteString as B
import Data.Char (isDigit)
import Data.Either (fromRight)
import Data.IntMap.Strict (IntMap)
import qualified Data.IntMap.Strict as IntMap
import Data.List (elemIndices)
import Data.Maybe (listToMaybe)
import Network.Socket
import Network.Socket.ByteString (recv, sendAll)
import Numeric.Natural (Natural)
import System.Environment (getArgs)
import System.Exit (ExitCode (ExitFailure), exitWith)
import System.IO (hFlush, hPutStrLn, stderr, stdout)
import System.Posix.Resource
import System.Posix.Signals

-- | Messages that wait for a client at most, and that are written at once. A judgement: some milliseconds of a
-- flood.
queueLen :: Natural
queueLen = 512

-- | How many microseconds senders wait for a client until its queue is taken. A judgement.
grace :: Int
grace = 100 * 1000

-- | How many microseconds clients have at the end to take what is left. A judgement.
deadline :: Int
deadline = 3 * 1000 * 1000

data Room = Room
  { -- | Those that get messages; nothing when the server ends.
    clients :: TVar (Maybe (IntMap Client)),
    -- | How many connections there are.
    alive :: TVar Int
  }

data Client = Client
  { queue :: TBQueue ByteString,
    pace :: TVar Pace,
    -- | Whether it has left the room, so that nothing more comes.
    left :: TVar Bool
  }

-- | Whether senders give a client messages, wait for it, or pass it over.
data Pace = KeepsUp | Full | Lags deriving (Eq)

main :: IO ()
main = do
  args <- getArgs
  case args of
    [text] -> parse text >>= maybe usage (listenOn text)
    _ -> usage
  where
    usage = quit 2 "usage: server ADDRESS, an IP address and a port like 127.0.0.1:8080"
    listenOn text address = try (bound address) >>= either (unbound text) serve
    unbound text why = quit 1 ("error: cannot listen on " ++ text ++ ": " ++ show (why :: IOException))

quit :: Int -> String -> IO a
quit code why = hPutStrLn stderr why >> exitWith (ExitFailure code)

parse :: String -> IO (Maybe AddrInfo)
parse text = do
  let colon = last (0 : elemIndices ':' text)
      (host, port) = (filter (`notElem` "[]") (take colon text), drop (colon + 1) text)
      isPort = not (null port) && all isDigit port && (read port :: Integer) < 65536
      hints = defaultHints {addrFlags = [AI_NUMERICHOST], addrSocketType = Stream}
  found <- try (getAddrInfo (Just hints) (Just host) (Just port)) :: IO (Either IOException [AddrInfo])
  pure (if isPort then listToMaybe (fromRight [] found) else Nothing)

bound :: AddrInfo -> IO Socket
bound address = do
  listener <- openSocket address
  setSocketOption listener ReuseAddr 1
  bind listener (addrAddress address)
  listen listener 1024
  pure listener

serve :: Socket -> IO ()
serve listener = do
  limits <- getResourceLimit ResourceOpenFiles
  setResourceLimit ResourceOpenFiles limits {softLimit = hardLimit limits}
  room <- Room <$> newTVarIO (Just IntMap.empty) <*> newTVarIO 0
  ending <- newTVarIO False
  let signals = [sigINT, sigTERM]
      first = do
        -- The next one ends the process.
        forM_ signals $ \it -> installHandler it Default Nothing
        atomically (writeTVar ending True)
  forM_ signals $ \it -> installHandler it (Catch first) Nothing
  getSocketName listener >>= \it -> putStrLn ("listening on " ++ show it) >> hFlush stdout
  void (forkIO (acceptAll listener room))
  atomically (readTVar ending >>= check)
  atomically $ do
    everyone <- swapTVar (clients room) Nothing
    forM_ (maybe [] IntMap.elems everyone) $ \it -> writeTVar (left it) True
  close listener
  late <- registerDelay deadline
  atomically $ (readTVar (alive room) >>= check . (== 0)) `orElse` (readTVar late >>= check)

-- | Serves every client that connects. When the listener is closed, the server ends.
acceptAll :: Socket -> Room -> IO ()
acceptAll listener room = forM_ [0 ..] $ \key -> do
  accepted <- try (accept listener)
  case accepted of
    Right (connection, _) -> do
      -- Before anything of it is read: it gets all from its own first message on.
      client <- atomically (join room key)
      void (forkFinally (serveClient room key client connection) (\_ -> gone connection))
    Left why -> do
      ending <- null <$> readTVarIO (clients room)
      unless ending $ hPutStrLn stderr ("cannot accept a client: " ++ show (why :: IOException))
      -- There may be too many, and it takes one to leave.
      threadDelay grace
  where
    gone connection = close connection `finally` atomically (modifyTVar' (alive room) (subtract 1))

join :: Room -> Int -> STM Client
join room key = do
  modifyTVar' (alive room) (+ 1)
  isOpen <- not . null <$> readTVar (clients room)
  client <- Client <$> newTBQueue queueLen <*> newTVar KeepsUp <*> newTVar (not isOpen)
  modifyTVar' (clients room) (fmap (IntMap.insert key client))
  pure client

-- | Reads what a client sends while another thread writes to it. What goes wrong with a client ends this client
-- and no other.
serveClient :: Room -> Int -> Client -> Socket -> IO ()
serveClient room key client connection = do
  written <- newTVarIO False
  void (forkFinally (writeAll client connection) (end written))
  attempt (setSocketOption connection NoDelay 1 >> readAll room connection B.empty)
  atomically $ do
    writeTVar (left client) True
    modifyTVar' (clients room) (fmap (IntMap.delete key))
  -- Closing a connection with unread bytes would reset it.
  attempt (discard connection)
  atomically (readTVar written >>= check)
  where
    -- If the writing failed, this ends the reading.
    end written result = do
      attempt (shutdown connection (either (const ShutdownBoth) (const ShutdownSend) result))
      atomically (writeTVar written True)

attempt :: IO () -> IO ()
attempt action = do
  result <- try action
  either (const (pure ()) . ioException) pure result
  where
    ioException = id :: IOException -> IOException

discard :: Socket -> IO ()
discard connection = do
  bytes <- recv connection 8192
  unless (B.null bytes) (discard connection)

-- | Broadcasts what a client sends, until it ends or fails. An unfinished message at the end is discarded.
readAll :: Room -> Socket -> ByteString -> IO ()
readAll room connection unread = case B.uncons unread of
  Just (len, rest) | B.length rest >= fromIntegral len -> do
    let (message, others) = B.splitAt (1 + fromIntegral len) unread
    broadcast room message
    readAll room connection others
  _ -> do
    bytes <- recv connection 8192
    unless (B.null bytes) (readAll room connection (unread <> bytes))

-- | Puts a message into the queues of all clients that keep up. This is the one order.
broadcast :: Room -> ByteString -> IO ()
broadcast room message = do
  full <- atomically $ do
    everyone <- maybe [] IntMap.elems <$> readTVar (clients room)
    keepingUp <- filterM (fmap (/= Lags) . readTVar . pace) everyone
    -- Another sender waits for those that are full already, and this one with it.
    forM_ keepingUp $ \it -> readTVar (pace it) >>= check . (== KeepsUp)
    full <- filterM (isFullTBQueue . queue) keepingUp
    if null full
      then forM_ keepingUp $ \it -> writeTBQueue (queue it) message
      else forM_ full $ \it -> writeTVar (pace it) Full
    pure full
  unless (null full) $ do
    late <- registerDelay grace
    let isFull it = (== Full) <$> readTVar (pace it)
        taken = forM_ full $ \it -> isFull it >>= check . not
        lag = filterM isFull full >>= mapM_ (\it -> writeTVar (pace it) Lags)
    atomically (taken `orElse` (readTVar late >>= check >> lag))
    broadcast room message

-- | Writes what comes into a client's queue, as much at once as is there, until it has left.
writeAll :: Client -> Socket -> IO ()
writeAll client connection = do
  (batch, isDone) <- atomically $ do
    batch <- flushTBQueue (queue client)
    isLast <- readTVar (left client)
    now <- readTVar (pace client)
    let isWritten = null batch && now == Lags
    when (now == Full || isWritten) $ writeTVar (pace client) KeepsUp
    check (not (null batch) || isWritten || isLast)
    pure (batch, null batch && isLast)
  unless (null batch) $ sendAll connection (B.concat batch)
  unless isDone (writeAll client connection)
